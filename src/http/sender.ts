import { BlockList, isIP } from 'node:net'

/**
 * Who sent a request: the other end of the socket, or, when that is one of our proxies, the last address in
 * `X-Forwarded-For` that is none of them. Without trusted proxies the header counts for nothing: anybody can write it.
 */
export function createSenderOf(
  trusted: readonly string[],
): (socketAddress: string, forwardedFor: string | undefined) => string {
  if (trusted.length === 0) return (socketAddress) => socketAddress
  const proxies = new BlockList()
  for (const network of trusted) {
    const [address = '', bits] = network.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) proxies.addAddress(address, family)
    else proxies.addSubnet(address, Number(bits), family)
  }
  const isProxy = (address: string): boolean => {
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
    const version = isIP(plain)
    return version !== 0 && proxies.check(plain, version === 6 ? 'ipv6' : 'ipv4')
  }
  return (socketAddress, forwardedFor) => {
    const hops = (forwardedFor ?? '').split(',').map((hop) => hop.trim())
    let sender = socketAddress
    while (isProxy(sender)) {
      const before = hops.pop()
      if (before === undefined || isIP(before) === 0) return sender
      sender = before
    }
    return sender
  }
}
