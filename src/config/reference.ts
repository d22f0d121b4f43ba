import { type ContractName, type Field, SETTINGS } from './fields.ts'
import { WITHOUT_EFFECT } from './older.ts'

/** The reference page `docs/settings.md`, made from the list of settings. */
export function settingsPage(): string {
  return `${[
    '# Settings',
    '',
    '<!-- Made from src/config/fields.ts by scripts/docs-settings.mjs; change it there. -->',
    '',
    'Every setting can be given as a flag, as an environment variable, or in a file `.env` in the working',
    'directory (another file: `--env-file`). A flag wins over the environment, the environment over the file, the file',
    'over the variables of the older programs, and those over the default. An empty variable counts as not set. An',
    'unknown name that begins with `BRIDGE_` is an error. `b24-bridge config print` shows what counts and where it',
    'comes from; secrets are masked there and everywhere else.',
    '',
    'With `_FILE` behind its name a setting is read from a file: `BRIDGE_SECRET_KEY_FILE=/run/secrets/key`, as secrets of',
    'containers are handed over. Under systemd a credential with the name of a setting gives it too:',
    '`LoadCredential=BRIDGE_SECRET_KEY:/etc/b24-bridge/secret-key`; it counts after the environment and before `.env`. Space',
    'at both ends of such a file is left out.',
    ...groups().flatMap(([group, fields]) => [
      '',
      `## ${group}`,
      '',
      '| variable and flag | default | what it does |',
      '| --- | --- | --- |',
      ...fields.map(
        (field) => `| \`${field.env}\`<br>\`${field.flag}\` | ${defaultOf(field)} | ${aboutOf(field)} |`,
      ),
    ]),
    '',
    ...olderPrograms(),
  ].join('\n')}\n`
}

/** The file `.env.example`: every setting, commented out, with its default. */
export function envExample(): string {
  return `${[
    '# Settings of bitrix24-bridge. Copy this file to .env and take away the # where you need another value.',
    '# Flags and environment variables win over this file. All about each setting: docs/settings.md',
    ...groups().flatMap(([group, fields]) => [
      '',
      `# --- ${group} ---`,
      ...fields.flatMap((field) => [
        '',
        `# ${field.about}`,
        `# It is ${field.kind.is}.`,
        `#${field.env}=${field.default ?? ''}`,
      ]),
    ]),
  ].join('\n')}\n`
}

function groups(): [string, Field[]][] {
  const byGroup = new Map<string, Field[]>()
  for (const field of SETTINGS) byGroup.set(field.group, [...(byGroup.get(field.group) ?? []), field])
  return [...byGroup]
}

function defaultOf(field: Field): string {
  const usual = field.default === undefined ? (field.defaultNote ?? 'not set') : `\`${field.default}\``
  const others = Object.entries(field.defaultFor ?? {}).map(([contract, text]) => `${contract}: \`${text}\``)
  return [usual, ...others].join('<br>')
}

function aboutOf(field: Field): string {
  const unit = field.unit === undefined ? '' : ` In ${field.unit}.`
  const secret = field.secret ? ' **Secret.**' : ''
  return `${field.about}${unit}${secret}<br>It is ${field.kind.is}.`.replaceAll('|', '\\|')
}

function olderPrograms(): string[] {
  const rows = (contract: ContractName): string[] =>
    SETTINGS.flatMap((field) => {
      const names = (field as Field).older?.[contract]
      return names === undefined
        ? []
        : [`| ${names.map((name) => `\`${name}\``).join(', ')} | \`${field.env}\` |`]
    })
  return [
    '## Variables of the older programs',
    '',
    'The variables of bitrix24-bridge (Python) and RabbitMQtoBitrix24 (Go) are understood as they are. Where one of them',
    'is present, it selects the contract of its program, unless `BRIDGE_CONTRACT` says otherwise; a `BRIDGE_*` setting',
    'wins over the older variable that gives the same. Variables of both programs together are an error that asks for',
    '`BRIDGE_CONTRACT`. Names that other programs share (`RABBITMQ_URL`, `_HOST`, `_PORT`, `_USER`, `_PASS`,',
    '`_VIRTUAL_HOST`, `AMQPURL`) select nothing when `BRIDGE_BROKER` is set; `DEBUG`, `SECRET_KEY`, `ALLOWED_HOSTS`,',
    '`CORS_HOSTS`, `DB_*` and `REQUESTS_*` never do.',
    '',
    '### bitrix24-bridge',
    '',
    '| variable | setting |',
    '| --- | --- |',
    ...rows('bitrix24-bridge'),
    '',
    '- `RABBITMQ_URL` wins over the parts; the parts default to `rabbitmq:rabbitmq@127.0.0.1:5672` and vhost `/`.',
    '- `BITRIX24_WEBHOOK_CODE` may be a whole webhook URL; otherwise `BITRIX24_DOMAIN` names the host and',
    '  `BITRIX24_WEBHOOK_USER_ID` (1) the user.',
    '- `REQUESTS_PER_PERIOD` (100) requests in `REQUESTS_PERIOD` (15) seconds are an upper cap: they can lower the',
    '  standard limit, never raise it. Set `BRIDGE_LIMITS` for a portal with another limit.',
    '- `BITRIX24_CLIENT_ID`, `BITRIX24_CLIENT_SECRET`, `BITRIX24_REFRESH_TOKEN` and `BITRIX24_DOMAIN` without a webhook code connect',
    '  that portal at the first start; from then on the store has the newer tokens, and they count no more.',
    '- `DEBUG` (true) also reads the file `env.dev`; then `ALLOWED_HOSTS` and `CORS_HOSTS` do not count, as before.',
    '- `DB_URL`, or `DB_DRIVER` and `DB_NAME`, count when they name an SQLite file; otherwise a warning says that they do not.',
    '- `BB_RABBITMQ_*` of the Django client are read by `b24-bridge send`, so that a Django `.env` can be used for it.',
    '',
    'Accepted, without effect:',
    '',
    ...Object.entries(WITHOUT_EFFECT).map(([name, why]) => `- \`${name}\`: ${why}.`),
    '',
    '### RabbitMQtoBitrix24',
    '',
    '| variable | setting |',
    '| --- | --- |',
    ...rows('rabbitmq-to-bitrix24'),
    '',
    'The spelling `AMPQ…` is that of the program; `AMQP…` is understood too.',
  ]
}
