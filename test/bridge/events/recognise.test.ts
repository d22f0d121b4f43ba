import { expect, it } from 'vitest'
import { parseForm } from '../../../src/bridge/events/forms.ts'
import { recognise } from '../../../src/bridge/events/recognise.ts'

const of = (body: string, query = '') => recognise(parseForm(body), new URLSearchParams(query))
const kindOf = (body: string): string => {
  const seen = of(body)
  return seen.what === 'happening' ? `${seen.kind} ${seen.event}` : seen.what
}

it.each([
  ['event=onCrmDealUpdate&auth[member_id]=m', 'event ONCRMDEALUPDATE'],
  ['event=ONEXTERNALCALLSTART', 'event ONEXTERNALCALLSTART'],
  ['event=ONSOMETHINGNEW', 'event ONSOMETHINGNEW'],
  ['event=ONIMBOTMESSAGEADD', 'bot ONIMBOTMESSAGEADD'],
  ['event=ONIMBOTV2MESSAGEADD', 'bot ONIMBOTV2MESSAGEADD'],
  ['event=ONIMCOMMANDADD', 'bot ONIMCOMMANDADD'],
  ['event=ONIMCONNECTORMESSAGEADD', 'connector ONIMCONNECTORMESSAGEADD'],
  ['event=ONAPPTEST', 'app ONAPPTEST'],
  ['event=ONAPPPAYMENT', 'app ONAPPPAYMENT'],
  ['event=ONSUBSCRIPTIONRENEW', 'app ONSUBSCRIPTIONRENEW'],
  ['event=ONAPPINSTALL', 'life-cycle'],
  ['event=OnAppUninstall', 'life-cycle'],
  ['event=ONOFFLINEEVENT', 'nudge'],
  ['event=OnAppSettingsDisplay', 'settings'],
  ['saveform=Y&auth[member_id]=m', 'settings'],
  ['event_token=t&workflow_id=w&code=my_Robot&document_id[0]=crm', 'robot my_Robot'],
  ['message_id=1&message_to=%2B7&type=SMS&code=my_sms', 'message my_sms'],
  ['PLACEMENT=DEFAULT&AUTH_ID=a', 'page'],
  ['data[error]=ERROR_PLACEMENT_LOADING_OVERTIME', 'app ERROR_PLACEMENT_LOADING_OVERTIME'],
  ['callbackUrl=https://a&errorCallbackUrl=https://b&prompt=x', 'question'],
  ['document_id[0]=crm&document_id[1]=CCrmDocumentDeal&document_id[2]=DEAL_1', 'workflow OUTGOINGWEBHOOK'],
  ['message_id=1&message_to=7&type=FAX&code=x', 'unknown'],
  ['event=&a=1', 'unknown'],
  ['', 'unknown'],
])('%s is %s', (body, kind) => {
  expect(kindOf(body)).toBe(kind)
})

it('looks at the address only for what portals add to it', () => {
  expect(of('PLACEMENT=LEFT_MENU', 'APP_SID=x').what).toBe('page')
  expect(of('a=1', 'event=ONCRMDEALADD').what).toBe('unknown')
})
