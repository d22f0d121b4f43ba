#!/bin/sh
# Makes the secrets of docker-compose.yml in the folder `secrets` beside it, or in the one that is given. What is there
# is kept: a new secret key could not open what the old one has sealed.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"

keep() {
  if [ -e "$folder/$1" ]; then
    cat > /dev/null
    return
  fi
  cat > "$folder/$1"
  # The containers read them under users of their own; the folder is closed to others here.
  chmod 444 "$folder/$1"
}
random() { openssl rand -hex 24; }

printf 'k1:%s\n' "$(openssl rand -base64 32)" | keep secret_key
random | keep admin_token
random | keep postgres_password
[ -e "$folder/rabbitmq.conf" ] || {
  password=$(random)
  printf 'default_user = bridge\ndefault_pass = %s\n' "$password" | keep rabbitmq.conf
  printf 'amqp://bridge:%s@rabbitmq:5672/\n' "$password" | keep broker
}
printf 'postgres://bridge:%s@postgres:5432/bridge\n' "$(cat "$folder/postgres_password")" | keep store
