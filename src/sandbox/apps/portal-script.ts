/**
 * The script of the portal's page around an application frame. A message from the frame is
 * `command:parameters:callback:sid`, where parameters may be missing; the answer is `callback:json`. The official
 * frame SDK speaks the same.
 */
export const PORTAL_SCRIPT = `
(function () {
  const form = document.getElementById('open')
  const frame = document.querySelector('iframe')
  const { sid, clientId } = form.dataset

  async function ask(command, params) {
    const body = JSON.stringify({ sid, do: command, params })
    const response = await window.fetch('/apps/session', { method: 'POST', body })
    return response.json()
  }

  window.addEventListener('message', async (event) => {
    if (event.source !== frame.contentWindow || typeof event.data !== 'string') return
    const parts = event.data.split(':')
    if (parts.length < 3 || parts.at(-1) !== sid) return
    const given = parts.slice(1, -2).join(':')
    const answer = await ask(parts[0], given === '' ? undefined : JSON.parse(given))
    frame.contentWindow.postMessage(parts.at(-2) + ':' + JSON.stringify(answer), event.origin)
    if (parts[0] === 'setInstallFinish') {
      document.getElementById('state').textContent = 'The application is installed.'
      location.href = '/apps/open?client_id=' + encodeURIComponent(clientId)
    }
    if (parts[0] === 'reloadWindow') location.reload()
  })
  form.submit()
})()
`
