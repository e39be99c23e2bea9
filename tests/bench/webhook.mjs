// Posts signed events at an even pace, as Stripe does at the start of a month, and says how soon each was answered.
// Usage: node webhook.mjs WEBHOOK STAND_IN RATE SECONDS. The events are the stand-in's own, handed out by its list.
import { createHmac } from 'node:crypto'
import { Agent, request } from 'node:http'

const [webhook, stripe, rate, seconds] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true, maxSockets: 64 })
const headers = { Authorization: 'Bearer sk_test_standin_bench' }

const events = []
for (let after = ''; ;) {
  const page = await (await fetch(`${stripe}/v1/events?limit=100${after && `&starting_after=${after}`}`, { headers })).json()
  events.push(...page.data)
  if (!page.has_more || events.length >= rate * seconds) break
  after = page.data.at(-1).id
}
events.length = Math.min(events.length, rate * seconds)
const bodies = events.map(event => JSON.stringify(event))

const post = body => new Promise((done, failed) => {
  const t = Math.floor(Date.now() / 1000)
  const v1 = createHmac('sha256', 'whsec_standin').update(`${t}.${body}`).digest('hex')
  const began = performance.now()
  const asked = request(webhook, { method: 'POST', agent, headers: { 'Content-Type': 'application/json', 'Stripe-Signature': `t=${t},v1=${v1}` } }, answer => {
    answer.resume().on('end', () => done({ status: answer.statusCode, took: performance.now() - began }))
  })
  asked.on('error', failed)
  asked.end(body)
})

const began = performance.now()
const answers = await Promise.all(bodies.map(async (body, nth) => {
  const at = nth * 1000 / rate - (performance.now() - began)
  if (at > 0) await new Promise(done => setTimeout(done, at))
  return post(body)
}))
const lasted = (performance.now() - began) / 1000
const refused = answers.filter(({ status }) => status !== 200).length
const took = answers.map(({ took }) => took).sort((a, b) => a - b)
const at = share => took[Math.min(took.length - 1, Math.floor(took.length * share))].toFixed(1)
console.log(`${took.length} events in ${lasted.toFixed(1)} s (${(took.length / lasted).toFixed(0)} a second), ${refused} refused`)
console.log(`answered within: ${at(0.5)} ms in the median, ${at(0.9)} at the 90th, ${at(0.99)} at the 99th percentile, ${at(1)} at most`)
agent.destroy()
process.exitCode = refused ? 1 : 0
