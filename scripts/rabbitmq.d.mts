/** The address of a RabbitMQ that answers, or in one line why there is none. */
export function findRabbitmq(options?: {
  log?: (line: string) => void
}): Promise<{ url: string } | { missing: string }>
