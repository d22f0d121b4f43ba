import type { Command } from '../../model/command.ts'

/**
 * True for a command that calls a method of these names, by itself or in a batch; `*` stands for any letters, and case
 * does not matter. No pattern names none.
 */
export function namesMethod(patterns: readonly string[]): (command: Command) => boolean {
  const tests = patterns.map(
    (pattern) => new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`, 'i'),
  )
  return (command) => {
    const methods =
      command.action === 'batch' ? command.entries.map(({ method }) => method) : [command.method]
    return methods.some((method) => tests.some((test) => test.test(method)))
  }
}
