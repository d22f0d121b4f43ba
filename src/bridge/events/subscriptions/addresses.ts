import { EVENTS_PATH } from '../handler-url.ts'

/** Where portals open pages: `/b24/placements/{name}`. */
export const PAGES_PATH = '/b24/placements/'

/** The address of a page for a placement. */
export function pageUrl(base: string, name: string): string {
  return `${plain(base)}${PAGES_PATH}${name}`
}

/**
 * True when the bridge under this public address gave out the address: its handler of events with or without a key, or
 * one of its pages. Other addresses on the same host are not ours.
 */
export function isOurAddress(base: string, url: string): boolean {
  if (!URL.canParse(url)) return false
  const { origin, pathname } = new URL(url)
  const address = `${origin}${pathname}`
  const root = plain(base)
  return address === `${root}${EVENTS_PATH}` || address.startsWith(`${root}${PAGES_PATH}`)
}

function plain(base: string): string {
  const { origin, pathname } = new URL(base)
  return `${origin}${pathname.replace(/\/+$/, '')}`
}
