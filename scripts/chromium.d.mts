export const CHROMIUM_FLAGS: string[]
export function findChromium(options?: {
  log?: (line: string) => void
}): { path: string } | { missing: string }
