#!/bin/sh
# Policies for the queues of the bridge, for RabbitMQ 3.10 and newer: what comes back too often, or waits for too long, goes
# to b24.dead, where the bridge finds it, instead of being dropped. Run it where rabbitmqctl may ask the broker, again after
# each change; what it is given goes to rabbitmqctl: `./policies.sh --vhost crm`. docs/operating.md says more.
set -eu

# A queue has one policy, so all that holds for it stands in one. Arguments of a queue cannot be changed: none are used.
policy() {
  name=$1 pattern=$2 definition=$3
  shift 3
  rabbitmqctl "$@" set_policy --priority 10 --apply-to queues "$name" "$pattern" "$definition"
}

# Commands and replies, those with an order, portals with a backlog, and suspects. Not b24.retry.*: those have dead-lettering of their own.
# reject-publish is what dead-lettering at least once needs; a full queue says so to its producers.
policy b24-commands \
  '^(b24\.(commands|replies)|(b24|b24\.commands|bitrix24-command|bitrix24in)\.(suspect|ordered|lane\..+))$' \
  '{"delivery-limit":20,"dead-letter-exchange":"","dead-letter-routing-key":"b24.dead","dead-letter-strategy":"at-least-once","overflow":"reject-publish","max-length-bytes":1073741824}' \
  "$@"

# Letters wait for the store for as long as it takes. A number, for -1 means no limit from RabbitMQ 4.0 on only.
policy b24-dead '^b24\.dead$' '{"delivery-limit":1000000}' "$@"

# Command queues of the two older contracts. Classic queues count no deliveries, and dead-letter at most once.
policy b24-older '^(bitrix24-command|bitrix24in)$' \
  '{"dead-letter-exchange":"","dead-letter-routing-key":"b24.dead"}' \
  "$@"
