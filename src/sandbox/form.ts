/** A value that PHP's `http_build_query` takes. */
export type FormValue =
  | string
  | number
  | boolean
  | null
  | readonly FormValue[]
  | { readonly [name: string]: FormValue }

/**
 * A form as PHP builds it: brackets nest and are percent-encoded, a space is `+`, true is `1` and false `0`; empty lists
 * leave no trace, and null neither unless it is to be `empty`.
 *
 * https://www.php.net/manual/en/function.http-build-query.php
 */
export function encodeForm(
  values: { readonly [name: string]: FormValue },
  nulls: 'absent' | 'empty' = 'absent',
): string {
  const pairs: string[] = []
  for (const [name, value] of Object.entries(values)) append(pairs, name, value, nulls)
  return pairs.join('&')
}

function append(pairs: string[], name: string, value: FormValue, nulls: 'absent' | 'empty'): void {
  if (value === null && nulls === 'absent') return
  if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) append(pairs, `${name}[${key}]`, item, nulls)
    return
  }
  const text = typeof value === 'boolean' ? String(Number(value)) : String(value ?? '')
  pairs.push(`${urlEncode(name)}=${urlEncode(text)}`)
}

/** PHP's `urlencode`. */
function urlEncode(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%20', '+')
    .replace(/[!'()*~]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
}
