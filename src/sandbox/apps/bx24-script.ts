/**
 * A small stand-in for the portal's `BX24` library, served at `/__sandbox/bx24.js`.
 *
 * https://apidocs.bitrix24.com/sdk/bx24-js-sdk/index.html
 */
export const BX24_SCRIPT = `
(function () {
  const query = new URLSearchParams(location.search)
  const named = window.name.split('|')
  const [domain, protocol, sid] = named.length === 3
    ? named
    : [query.get('DOMAIN'), query.get('PROTOCOL'), query.get('APP_SID')]
  const portal = (protocol === '1' ? 'https://' : 'http://') + domain
  const waiting = new Map()
  let lastCall = 0
  let data
  let ready
  let fresh

  function tell(command, params, done) {
    const callback = 'bx24_' + ++lastCall
    waiting.set(callback, done || function () {})
    const parts = [command, params && JSON.stringify(params), callback, sid]
    window.parent.postMessage(parts.filter(Boolean).join(':'), portal)
  }

  window.addEventListener('message', (event) => {
    if (event.origin !== portal || typeof event.data !== 'string') return
    const colon = event.data.indexOf(':')
    const done = waiting.get(event.data.slice(0, colon))
    waiting.delete(event.data.slice(0, colon))
    if (done) done(JSON.parse(event.data.slice(colon + 1)))
  })

  function take(received) {
    data = { ...data, ...received }
    const mine = (fresh = {})
    setTimeout(() => { if (fresh === mine) fresh = undefined }, Number(data.AUTH_EXPIRES) * 1000)
  }

  function start() {
    ready ||= new Promise((resolve) => tell('getInitData', null, resolve)).then(take)
    return ready
  }

  function append(form, name, value) {
    if (value === null || value === undefined) form.append(name, '')
    else if (typeof value !== 'object') form.append(name, value === true ? '1' : value === false ? '0' : value)
    else for (const key of Object.keys(value)) append(form, name + '[' + key + ']', value[key])
  }

  async function post(method, params) {
    const form = new URLSearchParams()
    for (const name of Object.keys(params || {})) append(form, name, params[name])
    form.set('auth', data.AUTH_ID)
    const response = await window.fetch(portal + '/rest/' + method, { method: 'POST', body: form })
    return response.json()
  }

  async function request(method, params) {
    await start()
    const answer = await post(method, params)
    if (answer.error !== 'expired_token') return answer
    await new Promise((resolve) => BX24.refreshAuth(resolve))
    return post(method, params)
  }

  function result(answer) {
    return {
      answer,
      data: () => answer.result,
      error: () => answer.error,
      error_description: () => answer.error_description,
      more: () => answer.next !== undefined,
      next: () => answer.next,
      total: () => answer.total,
      toString: () => (answer.error ? answer.error + ': ' + answer.error_description : ''),
    }
  }

  function commandOf(call) {
    const [method, params] = Array.isArray(call) ? call : [call.method, call.params]
    const form = new URLSearchParams()
    for (const name of Object.keys(params || {})) append(form, name, params[name])
    return method + '?' + form
  }

  const BX24 = {
    init: (done) => start().then(done),
    install: (done) => start().then(() => { if (data.INSTALL) done() }),
    installFinish: () => start().then(() => { if (data.INSTALL) tell('setInstallFinish') }),
    getAuth: () => fresh !== undefined && {
      access_token: data.AUTH_ID,
      refresh_token: data.REFRESH_ID,
      expires_in: Number(data.AUTH_EXPIRES),
      domain: data.DOMAIN,
      member_id: data.MEMBER_ID,
    },
    refreshAuth: (done) => tell('refreshAuth', null, (received) => {
      take(received)
      if (done) done(BX24.getAuth())
    }),
    callMethod: (method, params, done) => request(method, params).then((answer) => {
      if (done) done(result(answer))
    }),
    callBatch: (calls, done, halt) => {
      const cmd = Array.isArray(calls) ? [] : {}
      for (const key of Object.keys(calls)) cmd[key] = commandOf(calls[key])
      request('batch', { halt: halt ? 1 : 0, cmd }).then(({ result: all, ...failed }) => {
        if (!done) return
        if (all === undefined) return done(result(failed))
        const results = Array.isArray(calls) ? [] : {}
        for (const key of Object.keys(cmd)) {
          results[key] = result({
            result: all.result[key],
            total: all.result_total[key],
            next: all.result_next[key],
            ...all.result_error[key],
          })
        }
        done(results)
      })
    },
    placement: {
      info: () => ({ placement: data.PLACEMENT, options: data.PLACEMENT_OPTIONS }),
      getInterface: (done) => done({ command: [], event: [] }),
      call: (command, params, done) => tell(command, params, done),
      bindEvent: () => undefined,
    },
    isAdmin: () => data.IS_ADMIN,
    getLang: () => data.LANG,
    getDomain: () => domain,
    fitWindow: (done) => tell('resizeWindow', null, done),
    resizeWindow: (width, height, done) => tell('resizeWindow', { width, height }, done),
    setTitle: (title, done) => tell('setTitle', { title }, done),
    reloadWindow: (done) => tell('reloadWindow', null, done),
  }
  window.BX24 = BX24
})()
`
