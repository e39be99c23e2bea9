// Posts events that Stripe's own SDK has signed to a webhook, good ones and bad ones, and prints what was answered.
//
//   node webhook.mjs URL SECRET [EVENTS.json]
//
// One line of JSON: the status for each case. The body is a small event of a type that nobody waits for, or the events
// of a file (an array, or the answer of `GET /v1/events`), of which the first is used.
import { readFileSync } from 'node:fs'
import Stripe from 'stripe'

const [url, secret, file] = process.argv.slice(2)
if (!url || !secret) {
  console.error('usage: node webhook.mjs URL SECRET [EVENTS.json]')
  process.exit(2)
}
const stripe = new Stripe('sk_test_standin_sdk')
const now = Math.floor(Date.now() / 1000)

function event(name) {
  if (file) {
    const read = JSON.parse(readFileSync(file, 'utf8'))
    return JSON.stringify((read.data ?? read)[0], null, 2)
  }
  return JSON.stringify({
    id: `evt_${name}`, object: 'event', api_version: '2026-10-28.endive', created: now, livemode: false,
    pending_webhooks: 1, request: { id: null, idempotency_key: null }, type: 'product.updated',
    data: { object: { id: 'prod_1', object: 'product' } },
  }, null, 2)
}

const sign = (payload, secret, timestamp = now) =>
  stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp })
const v1 = (header) => header.split(',').find((part) => part.startsWith('v1='))

async function post(body, signature) {
  const headers = { 'content-type': 'application/json; charset=utf-8' }
  if (signature !== undefined) headers['stripe-signature'] = signature
  return (await fetch(url, { method: 'POST', headers, body, redirect: 'manual' })).status
}

const wrong = 'whsec_not_the_one'
const cases = {
  valid: (body) => post(body, sign(body, secret)),
  valid_290_seconds_old: (body) => post(body, sign(body, secret, now - 290)),
  valid_first_of_two: (body) => post(body, `t=${now},${v1(sign(body, secret))},${v1(sign(body, wrong))}`),
  valid_last_of_two: (body) => post(body, `t=${now},${v1(sign(body, wrong))},${v1(sign(body, secret))}`),
  wrong_secret: (body) => post(body, sign(body, wrong)),
  old_301_seconds: (body) => post(body, sign(body, secret, now - 301)),
  changed_body: (body) => post(body.replace('"livemode": false', '"livemode": true '), sign(body, secret)),
  changed_time: (body) => post(body, sign(body, secret).replace(`t=${now}`, `t=${now + 1}`)),
  only_v0: (body) => post(body, sign(body, secret).replace('v1=', 'v0=')),
  no_signature: (body) => post(body, undefined),
  empty_signature: (body) => post(body, ''),
}
const answers = {}
for (const [name, run] of Object.entries(cases)) answers[name] = await run(event(name))
console.log(JSON.stringify(answers))
