import { deadLetterStoreConformance } from '../conformance/dead-letter-store.ts'
import { eventStoreConformance } from '../conformance/event-store.ts'
import { portalStoreConformance } from '../conformance/portal-store.ts'
import { storeConformance } from '../conformance/store.ts'
import { DATABASES } from '../support/databases.ts'

for (const database of DATABASES) {
  storeConformance(database)
  portalStoreConformance(database)
  eventStoreConformance(database)
  deadLetterStoreConformance(database)
}
