import { PostgresCluster } from './postgres.ts'
import { RabbitNode } from './rabbitmq.ts'

/** What the set-up leaves for the tests; `missing` says in one line why there is nothing. */
export interface Engines<Place> {
  readonly place?: Place
  readonly missing?: string
}

/** The variables by which the set-up tells the tests what there is. */
export const VARIABLES = {
  rabbitmq: 'FAULTS_RABBITMQ',
  postgres: 'FAULTS_POSTGRES',
  account: 'FAULTS_ACCOUNT',
} as const

const rabbit = left(VARIABLES.rabbitmq)
const postgres = left(VARIABLES.postgres)

/** True when tests on the engines are skipped, and for titles: why. */
export const skip = rabbit.place === undefined || postgres.place === undefined
export const note = skip ? ` (skipped: ${rabbit.missing ?? postgres.missing})` : ''

/** The node of this run. */
export function rabbitNode(): RabbitNode {
  return new RabbitNode(rabbit.place as ConstructorParameters<typeof RabbitNode>[0])
}

/** The cluster of this run. */
export function postgresCluster(): PostgresCluster {
  return new PostgresCluster(postgres.place as ConstructorParameters<typeof PostgresCluster>[0])
}

function left(variable: string): Engines<unknown> {
  return JSON.parse(process.env[variable] ?? '{"missing":"the set-up did not run"}') as Engines<unknown>
}
