// People who sign up, at an even pace, from networks enough that no limit stops them, until SIGTERM. Then it says how soon they were
// answered: "NUMBER REFUSED MEDIAN P99 WORST", in milliseconds.
// Usage: node sign-ups.mjs URL RATE
import { Agent, request } from 'node:http'

const [url, rate] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true, maxSockets: 64 })
const took = []
let asked = 0, refused = 0

const signUp = nth => new Promise(done => {
  const began = performance.now()
  const end = status => { took.push(performance.now() - began); refused += status !== 202; done() }
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json', 'X-Forwarded-For': `10.${nth % 1000 >> 8}.${nth % 256}.7` }
  request(url, { method: 'POST', agent, headers }, answer => answer.resume().on('end', () => end(answer.statusCode)))
    .on('error', () => end(0))
    .end(JSON.stringify({ email: `reader.${process.pid}.${nth}@sign-up.example` }))
})

const began = performance.now()
const open = new Set()
// A timer that is late is made up for: the pace is theirs and not the server's.
const timer = setInterval(() => {
  for (; asked < (performance.now() - began) / 1000 * rate; asked++) {
    const one = signUp(asked).then(() => open.delete(one))
    open.add(one)
  }
}, 5)
process.on('SIGTERM', async () => {
  clearInterval(timer)
  await Promise.all(open)
  took.sort((a, b) => a - b)
  const at = share => (took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0).toFixed(1)
  console.log(took.length, refused, at(0.5), at(0.99), at(1))
  agent.destroy()
})
