import { BlockList, isIP } from 'node:net'

const RESERVED = new BlockList()
for (const range of (
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 ' +
  '192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4'
).split(' ')) {
  const [net, bits] = range.split('/') as [string, string]
  RESERVED.addSubnet(net, Number(bits), 'ipv4')
}
// Inside of the public range: tunnels that carry an IPv4 address, and examples.
RESERVED.addSubnet('2001::', 23, 'ipv6')
RESERVED.addSubnet('2001:db8::', 32, 'ipv6')
RESERVED.addSubnet('2002::', 16, 'ipv6')

const PUBLIC_V6 = new BlockList()
PUBLIC_V6.addSubnet('2000::', 3, 'ipv6')

/**
 * True for an address that is not one of the public internet: of this machine, of a local network, of the cloud's own
 * services, or reserved. True for what is no address at all.
 *
 * https://www.iana.org/assignments/iana-ipv4-special-registry/, https://www.iana.org/assignments/iana-ipv6-special-registry/
 */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address)
  if (family === 4) return RESERVED.check(address, 'ipv4')
  if (family !== 6) return true
  return !PUBLIC_V6.check(address, 'ipv6') || RESERVED.check(address, 'ipv6')
}
