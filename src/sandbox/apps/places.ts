import type { Installation } from './installations.ts'

/** A page of an application that can be opened somewhere on the portal. */
export interface Place {
  readonly code: string
  readonly handler: string
  readonly title: string
}

/** Every place where an application has a page, its main page left out. */
export function placesOf({ registered }: Installation): Place[] {
  const { placements, fieldTypes, robots, connectors } = registered
  return [
    ...placements.map(({ placement, handler, title }) => ({ code: placement, handler, title })),
    ...fieldTypes.map(({ id, handler, title }) => ({ code: 'USERFIELD_TYPE', handler, title: title || id })),
    ...connectors.map(({ name, placementHandler }) => ({
      code: 'SETTING_CONNECTOR',
      handler: placementHandler,
      title: name,
    })),
    ...robots
      .filter(({ placementHandler }) => placementHandler !== '')
      .map(({ code, placementHandler }) => ({
        code: 'BIZPROC_ACTIVITY_PROPERTIES_DIALOG',
        handler: placementHandler,
        title: code,
      })),
  ]
}

/** The page at a place; `handler` chooses where there are several. */
export function placeAt(installation: Installation, code: string, handler?: string): Place | undefined {
  return placesOf(installation).find(
    (place) => place.code === code && (handler === undefined || place.handler === handler),
  )
}
