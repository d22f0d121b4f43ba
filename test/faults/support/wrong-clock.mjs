// Loaded into a bridge with `--import`: its wall clock goes wrong by as many milliseconds as the file says.
import { readFileSync } from 'node:fs'

const file = String(process.env.FAULTS_CLOCK)
const realNow = Date.now
let offsetMs = 0
setInterval(() => {
  offsetMs = Number(readFileSync(file, 'utf8')) || 0
}, 50).unref()
Date.now = () => realNow() + offsetMs
