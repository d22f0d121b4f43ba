import type { HttpAnswer } from './respond.ts'

/** A web page for people; `body` is HTML. */
export function page(title: string, body: string, status = 200): HttpAnswer {
  const text = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escapeHtml(title)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
iframe { border: 1px solid #ccc; width: 100%; height: 30rem }
</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${body}
</body>
</html>
`
  return { status, contentType: 'text/html; charset=utf-8', text }
}

/** A page that says what is wrong. */
export function errorPage(text: string, status = 400): HttpAnswer {
  return page('This does not work', `<p id="error">${escapeHtml(text)}</p>`, status)
}

/** Text made safe inside elements and quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

/** Form fields that nobody sees. */
export function hiddenFields(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`)
    .join('\n')
}
