import type { Json } from '../model/json.ts'
import { isJsonObject } from '../model/json.ts'
import { errorBody, type RestFault } from './errors.ts'
import { type Answer, EncodedJson } from './method.ts'
import type { Switches } from './options.ts'
import type { AnswerTime } from './time.ts'
import { toXml } from './xml.ts'

/** An HTTP answer, ready to be written. */
export interface HttpAnswer {
  readonly status: number
  readonly contentType: string
  readonly text: string
  readonly location?: string
  /** Besides the usual ones. */
  readonly headers?: Readonly<Record<string, string>>
}

const JSON_TYPE = 'application/json; charset=utf-8'

/** The answer to a call that ran: result, `total` and `next` where there are any, and `time`. */
export function successAnswer(answer: Answer, time: AnswerTime, format: 'json' | 'xml'): HttpAnswer {
  const { result, total, next } = answer
  if (!(result instanceof EncodedJson) && isErrorResult(result))
    return textAnswer(200, JSON.stringify(result), format)
  const encoded = result instanceof EncodedJson ? result.text : JSON.stringify(result ?? null)
  const paging = `${next === undefined ? '' : `,"next":${next}`}${total === undefined ? '' : `,"total":${total}`}`
  return textAnswer(200, `{"result":${encoded}${paging},"time":${JSON.stringify(time)}}`, format)
}

/** The answer to a call that failed. */
export function errorAnswer(fault: RestFault, switches: Switches, format: 'json' | 'xml'): HttpAnswer {
  const status = switches.statuses[fault.code] ?? fault.status
  return textAnswer(status, JSON.stringify(errorBody(fault, switches.emptyDescriptions)), format)
}

/** A page such as web servers send when the portal itself does not answer. */
export function htmlAnswer(status: number, location?: string): HttpAnswer {
  const text = `<html>\r\n<head><title>${status}</title></head>\r\n<body><center><h1>${status}</h1></center></body>\r\n</html>\r\n`
  return {
    status,
    contentType: 'text/html; charset=utf-8',
    text,
    ...(location === undefined ? {} : { location }),
  }
}

/** Any value as JSON. */
export function plainAnswer(value: unknown, status = 200): HttpAnswer {
  return { status, contentType: JSON_TYPE, text: JSON.stringify(value) }
}

/**
 * True when a method's result is itself an error: the portal prints it as it is, with status 200.
 *
 * https://apidocs.bitrix24.com/api-reference/user/user-scope.html
 */
export function isErrorResult(result: Json): result is { error: string; error_description: string } {
  return isJsonObject(result) && Boolean(result.error) && Boolean(result.error_description)
}

function textAnswer(status: number, json: string, format: 'json' | 'xml'): HttpAnswer {
  if (format === 'json') return { status, contentType: JSON_TYPE, text: json }
  return { status, contentType: 'text/xml; charset=utf-8', text: toXml(JSON.parse(json) as Json) }
}
