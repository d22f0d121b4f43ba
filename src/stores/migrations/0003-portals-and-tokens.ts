import type { Kysely } from 'kysely'
import { integer, key, makeTable, optional, text, time } from './table.ts'

const memberId = key(64)
const clientId = key(128)
const userId = key(32)

/**
 * Portals, applications, tokens and webhooks; what proves that the secret key is the right one; leases. Columns of
 * secrets hold sealed text (`seal.ts`), application tokens are kept as fingerprints only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'portals', {
    columns: {
      member_id: memberId,
      domain: key(255),
      client_endpoint: text,
      server_endpoint: optional(text),
      request_limit: optional(key(32)),
      state: key(16),
      reason: optional(text),
      next_try: optional(time),
      created_at: time,
      updated_at: time,
    },
    primaryKey: ['member_id'],
    indexes: [{ name: 'portals_by_domain', columns: ['domain', 'updated_at'] }],
  })
  await makeTable(db, 'portal_aliases', {
    columns: { alias: key(255), member_id: memberId },
    primaryKey: ['alias'],
    indexes: [{ name: 'portal_aliases_by_portal', columns: ['member_id'] }],
  })
  await makeTable(db, 'applications', {
    columns: { client_id: clientId, name: text, client_secret: text, created_at: time, updated_at: time },
    primaryKey: ['client_id'],
  })
  await makeTable(db, 'installations', {
    columns: {
      member_id: memberId,
      client_id: clientId,
      status: optional(key(8)),
      scope: text,
      version: optional(key(64)),
      user_id: optional(userId),
      created_at: time,
      updated_at: time,
    },
    primaryKey: ['member_id', 'client_id'],
  })
  await makeTable(db, 'tokens', {
    columns: {
      id: key(300),
      member_id: memberId,
      client_id: clientId,
      user_id: userId,
      access_token: text,
      refresh_token: optional(text),
      expires_at: optional(time),
      scope: text,
      status: optional(key(8)),
      version: integer,
      epoch: integer,
      lease_owner: optional(key(64)),
      lease_until: optional(time),
      state: key(16),
      reason: optional(text),
      created_at: time,
      renewed_at: time,
    },
    primaryKey: ['id'],
    indexes: [
      { name: 'tokens_by_portal', columns: ['member_id', 'client_id'] },
      { name: 'tokens_by_age', columns: ['renewed_at'] },
    ],
  })
  await makeTable(db, 'spare_tokens', {
    columns: {
      id: key(64),
      token_id: key(300),
      member_id: memberId,
      client_id: clientId,
      user_id: userId,
      source: key(16),
      access_token: text,
      refresh_token: optional(text),
      expires_at: optional(time),
      created_at: time,
    },
    primaryKey: ['id'],
    indexes: [{ name: 'spare_tokens_by_token', columns: ['token_id', 'created_at'] }],
  })
  await makeTable(db, 'application_tokens', {
    columns: {
      member_id: memberId,
      fingerprint: key(64),
      client_id: optional(clientId),
      label: text,
      created_at: time,
    },
    primaryKey: ['member_id', 'fingerprint'],
  })
  await makeTable(db, 'webhooks', {
    columns: {
      id: key(64),
      member_id: optional(memberId),
      domain: key(255),
      user_id: userId,
      name: text,
      url: text,
      created_at: time,
    },
    primaryKey: ['id'],
    indexes: [
      { name: 'webhooks_by_domain', columns: ['domain'] },
      { name: 'webhooks_by_portal', columns: ['member_id'] },
    ],
  })
  await makeTable(db, 'secrets', {
    columns: { name: key(64), value: text },
    primaryKey: ['name'],
  })
  await makeTable(db, 'secret_keys', {
    columns: { kid: key(32), canary: text, added_at: time },
    primaryKey: ['kid'],
  })
  await makeTable(db, 'leases', {
    columns: { name: key(255), owner: key(64), until: time, fence: integer },
    primaryKey: ['name'],
  })
}
