/** Events whose tokens can be renewed; all events of the calendar belong to them too. */
const RENEWABLE = new Set([
  'ONAPPINSTALL',
  'ONAPPUPDATE',
  'ONSUBSCRIPTIONRENEW',
  'ONAPPTEST',
  'ONOFFLINEEVENT',
  'ONIMCOMMANDADD',
  'ONIMBOTCONTEXTGET',
  ...['ADD', 'UPDATE', 'DELETE'].map((act) => `ONIMBOTMESSAGE${act}`),
  ...['MESSAGEADD', 'MESSAGEUPDATE', 'MESSAGEDELETE', 'CONTEXTGET', 'COMMANDADD', 'REACTIONCHANGE'].map(
    (act) => `ONIMBOTV2${act}`,
  ),
])

/**
 * True when an event brings a refresh token. The samples of the documentation show one nearly everywhere; portals send
 * it with these events only. The switch `eventRefreshTokens` makes it all.
 *
 * https://apidocs.bitrix24.com/api-reference/events/index.html
 */
export function bringsRefreshToken(event: string): boolean {
  return RENEWABLE.has(event) || event.startsWith('ONCALENDAR')
}
