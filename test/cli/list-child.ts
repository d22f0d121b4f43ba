import { listCommand } from '../../src/cli/commands/list.ts'
import { httpCaller } from '../client/list/portal.ts'

/** `node list-child.ts URL ARGUMENTS…` runs the command as a process of its own, so that a test may kill it. */
const [, , url = '', ...args] = process.argv
const { stdin, stdout, stderr, env } = process
const io = {
  stdin,
  stdout,
  stderr,
  env,
  cwd: process.cwd(),
  signal: new AbortController().signal,
  exit: () => {},
}
const openClient = async () => ({ ...httpCaller(url), close: async () => {} })
await listCommand(io, { openClient }).parseAsync(args, { from: 'user' })
