import { rootCertificates } from 'node:tls'

/** Options of a TLS connection that trusts an authority (PEM) besides the usual ones: naming one alone would end those. */
export function trusting(ca: string | undefined): { ca?: string[] } {
  return ca === undefined ? {} : { ca: [...rootCertificates, ca] }
}
