import { expect, it } from 'vitest'
import { openApplication } from './application.ts'
import { CLIENT_ID } from './oauth-client.ts'

// https://apidocs.bitrix24.com/api-reference/telephony/events/on-external-call-start.html
it('an outgoing call is told by flat data to applications that may know of calls', async () => {
  const { sandbox, app, call } = await openApplication()
  const event = 'OnExternalCallStart'
  expect((await call('event.bind', { event, handler: `${app.url}call` })).body.result).toBe(true)
  const data = { PHONE_NUMBER: '+491512345', USER_ID: 2, CALL_ID: 'externalCall.1', IS_MOBILE: 0 }
  await sandbox.changeData({ do: 'raise', event, data, userId: 2 })
  expect(app.received[0]?.form).toMatchObject({
    event: 'ONEXTERNALCALLSTART',
    data: { PHONE_NUMBER: '+491512345', USER_ID: '2', CALL_ID: 'externalCall.1', IS_MOBILE: '0' },
    auth: { user_id: '2' },
  })
  sandbox.change({ scopes: { [CLIENT_ID]: ['crm'] } })
  const denied = await call('event.bind', { event, handler: `${app.url}other` })
  expect(denied.body.error).toBe('ERROR_EVENT_NOT_FOUND')
})
