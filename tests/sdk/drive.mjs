// Stripe's own SDK against the stand-in, as if it were Stripe.
//
//   node drive.mjs PATH/TO/friday        starts `friday demo stripe` by itself
//   node drive.mjs http://127.0.0.1:PORT  uses one that runs
//
// The last line is "N passed, N failed".
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Stripe from 'stripe'

const here = dirname(fileURLToPath(import.meta.url))
const KEY = 'sk_test_standin_sdk'
const SECRET = 'whsec_standin'
const seen = []
const hook = createServer((request, answer) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    seen.push({ body: Buffer.concat(parts).toString(), signature: request.headers['stripe-signature'] })
    answer.end('ok')
  })
}).listen(0, '127.0.0.1')
await new Promise((ready) => hook.once('listening', ready))
const webhook = `http://127.0.0.1:${hook.address().port}/stripe/webhook`

const [target] = process.argv.slice(2)
let child
const base = target.startsWith('http') ? target : await start(target)

function start(program) {
  child = spawn(program, ['demo', 'stripe', '--listen', '127.0.0.1:0', '--by-hand'], { stdio: ['ignore', 'pipe', 'inherit'] })
  return new Promise((ready, failed) => {
    child.once('exit', (code) => failed(new Error(`${program} ended with ${code}`)))
    child.stdout.on('data', (text) => {
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(text)
      if (found) ready(found[0])
    })
  })
}

const { hostname, port } = new URL(base)
const stripe = new Stripe(KEY, { host: hostname, port, protocol: 'http', maxNetworkRetries: 0, telemetry: false })
const control = async (act, form = {}) => {
  const answer = await fetch(`${base}/_standin/${act}`, { method: 'POST', body: new URLSearchParams(form) })
  assert.ok(answer.ok, `${act}: ${answer.status}`)
  return answer.json()
}
const press = async (session, form) => {
  const body = new URLSearchParams(form)
  const answer = await fetch(session.url, { method: 'POST', body, redirect: 'manual' })
  return { status: answer.status, location: answer.headers.get('location'), text: await answer.text() }
}
const refused = async (work, type, code) => {
  const error = await work.then(() => undefined, (error) => error)
  assert.ok(error instanceof Stripe.errors.StripeError, `an error of Stripe's, not ${error}`)
  assert.equal(error.type, type)
  if (code) assert.equal(error.code, code)
  return error
}
const session = (mode, more = {}) => ({
  mode,
  line_items: [{
    quantity: 1,
    price_data: {
      currency: 'eur', unit_amount: 500, product_data: { name: 'Support' },
      ...(mode === 'subscription' ? { recurring: { interval: 'month' } } : {}),
    },
  }],
  success_url: 'http://localhost:8080/support/thanks?session={CHECKOUT_SESSION_ID}',
  cancel_url: 'http://localhost:8080/support',
  metadata: { attempt: '42' },
  ...more,
})

// What the compiler of the last test is shown: one object of each kind.
const shapes = {}
const keep = (type, object) => { shapes[type] ??= object }

const tests = {
  async 'a session is made, paid on its page and listed'() {
    const made = await stripe.checkout.sessions.create(session('payment'), { idempotencyKey: 'once' })
    assert.equal(made.status, 'open')
    assert.equal(made.lastResponse.headers['request-id'], made.lastResponse.requestId)
    keep('Checkout.Session', JSON.parse(JSON.stringify(made)))
    const left = await press(made, { act: 'leave' })
    assert.equal(left.location, 'http://localhost:8080/support')
    const declined = await press(made, { act: 'fail', email: 'k@example.org' })
    assert.match(declined.text, /declined/)
    const paid = await press(made, { act: 'pay', email: 'k@example.org' })
    assert.equal(paid.location, `http://localhost:8080/support/thanks?session=${made.id}`)
    const read = await stripe.checkout.sessions.retrieve(made.id, { expand: ['line_items', 'payment_intent.latest_charge'] })
    assert.equal(read.payment_status, 'paid')
    assert.equal(read.payment_intent.latest_charge.amount, 500)
    keep('LineItem', read.line_items.data[0])
    const { data } = await stripe.checkout.sessions.list({ payment_intent: read.payment_intent.id })
    assert.deepEqual(data.map((one) => one.id), [made.id])
  },
  async 'the same key gives the same session, another request with it an error'() {
    const first = await stripe.checkout.sessions.create(session('payment'), { idempotencyKey: 'twice' })
    const second = await stripe.checkout.sessions.create(session('payment'), { idempotencyKey: 'twice' })
    assert.equal(first.id, second.id)
    const other = session('payment', { metadata: { attempt: '43' } })
    await refused(stripe.checkout.sessions.create(other, { idempotencyKey: 'twice' }), 'StripeIdempotencyError')
  },
  async 'an unknown parameter is an error'() {
    const wrong = session('payment', { colour: 'red' })
    const error = await refused(stripe.checkout.sessions.create(wrong), 'StripeInvalidRequestError', 'parameter_unknown')
    assert.equal(error.param, 'colour')
    const gone = stripe.checkout.sessions.retrieve('cs_test_none')
    await refused(gone, 'StripeInvalidRequestError', 'resource_missing')
    const stranger = new Stripe('sk_test_other', { host: hostname, port, protocol: 'http' })
    await refused(stranger.balance.retrieve(), 'StripeAuthenticationError')
  },
  async 'the SDK tries again after a failure, with the same key'() {
    const patient = new Stripe(KEY, { host: hostname, port, protocol: 'http', maxNetworkRetries: 3 })
    const before = (await stripe.checkout.sessions.list({ limit: 100 })).data.length
    await control('fail-next', { status: '500' })
    await control('fail-next', { status: '429' })
    await patient.checkout.sessions.create(session('payment'))
    assert.equal((await stripe.checkout.sessions.list({ limit: 100 })).data.length, before + 1)
  },
  async 'a gift renews, its invoices name it, and it ends'() {
    const made = await stripe.checkout.sessions.create(session('subscription', {
      subscription_data: { metadata: { attempt: '42' } },
    }))
    await press(made, { act: 'pay', email: 'm@example.org', method: 'card_later' })
    const { subscription } = await stripe.checkout.sessions.retrieve(made.id, { expand: ['subscription'] })
    keep('Subscription', subscription)
    keep('SubscriptionItem', subscription.items.data[0])
    keep('Price', subscription.items.data[0].price)
    assert.equal(subscription.metadata.attempt, '42')
    await control('advance', { days: '32' })
    const late = await stripe.subscriptions.retrieve(subscription.id, { expand: ['latest_invoice.payments'] })
    assert.equal(late.status, 'past_due')
    assert.equal(late.latest_invoice.billing_reason, 'subscription_cycle')
    const intent = late.latest_invoice.payments.data[0].payment.payment_intent
    assert.equal((await stripe.paymentIntents.retrieve(intent)).status, 'requires_payment_method')
    await control('cards', { subscription: subscription.id, does: 'works' })
    await control('advance', { days: '5' })
    const paid = await stripe.invoices.list({ subscription: subscription.id, status: 'paid', expand: ['data.payments'] })
    assert.equal(paid.data.length, 2)
    assert.equal(paid.data[0].parent.subscription_details.subscription, subscription.id)
    keep('Invoice', paid.data[0])
    keep('InvoiceLineItem', paid.data[0].lines.data[0])
    keep('InvoicePayment', (await stripe.invoicePayments.list({ invoice: paid.data[0].id })).data[0])
    const until = Math.floor(Date.now() / 1000) + 400 * 86400
    const paused = await stripe.subscriptions.update(subscription.id, { pause_collection: { behavior: 'void', resumes_at: until } })
    assert.equal(paused.pause_collection.resumes_at, until)
    const on = await stripe.subscriptions.update(subscription.id, { pause_collection: '' })
    assert.equal(on.pause_collection, null)
    const price_data = { currency: 'eur', product: on.items.data[0].price.product, recurring: { interval: 'month' }, unit_amount: 900 }
    const more = await stripe.subscriptions.update(subscription.id, {
      items: [{ id: on.items.data[0].id, price_data }], proration_behavior: 'none',
    })
    assert.equal(more.items.data[0].price.unit_amount, 900)
    const portal = await stripe.billingPortal.sessions.create({ customer: subscription.customer, return_url: 'http://localhost:8080/' })
    keep('BillingPortal.Session', portal)
    assert.equal((await fetch(portal.url)).status, 200)
    await fetch(portal.url, { method: 'POST', body: new URLSearchParams({ act: 'end', subscription: subscription.id }) })
    const ends = await stripe.subscriptions.retrieve(subscription.id)
    assert.equal(ends.cancel_at_period_end, false)
    assert.ok(ends.cancel_at)
    assert.equal((await stripe.subscriptions.cancel(subscription.id)).status, 'canceled')
    keep('Product', await stripe.products.retrieve(price_data.product))
    keep('Customer', await stripe.customers.retrieve(subscription.customer))
    keep('DeletedCustomer', await stripe.customers.del(subscription.customer))
  },
  async 'a refund and a dispute move the balance'() {
    const made = await stripe.checkout.sessions.create(session('payment', { customer_creation: 'always' }))
    await press(made, { act: 'pay', email: 'r@example.org', country: 'de' })
    const { payment_intent } = await stripe.checkout.sessions.retrieve(made.id, { expand: ['payment_intent.latest_charge'] })
    const charge = payment_intent.latest_charge
    assert.equal(charge.payment_method_details.card.country, 'DE')
    const part = await stripe.refunds.create({ payment_intent: payment_intent.id, amount: 200 })
    keep('Refund', part)
    await refused(stripe.refunds.create({ charge: charge.id, amount: 400 }), 'StripeInvalidRequestError')
    keep('Charge', await stripe.charges.retrieve(charge.id, { expand: ['refunds'] }))
    keep('BalanceTransaction', await stripe.balanceTransactions.retrieve(part.balance_transaction))
    keep('PaymentMethod', await stripe.paymentMethods.retrieve(charge.payment_method))
    keep('PaymentIntent', await stripe.paymentIntents.retrieve(payment_intent.id))
    await control('dispute', { charge: charge.id })
    keep('Dispute', (await stripe.disputes.list({ charge: charge.id })).data[0])
    keep('Account', await stripe.accounts.retrieveCurrent())
    const balance = await stripe.balance.retrieve()
    keep('Balance', balance)
    let sum = 0
    for await (const one of stripe.balanceTransactions.list({ currency: 'eur', limit: 2 })) sum += one.net
    assert.equal(balance.pending.find((line) => line.currency === 'eur').amount, sum)
  },
  async 'its events are constructed by the SDK'() {
    await control('webhook', { url: webhook, secrets: `${SECRET},whsec_being_rolled` })
    const report = await control('deliver', { copies: '2', shuffle: '5' })
    assert.ok(report.answers.length > 50)
    const ids = new Set()
    for (const { body, signature } of seen) {
      const event = stripe.webhooks.constructEvent(body, signature, SECRET)
      stripe.webhooks.constructEvent(body, signature, 'whsec_being_rolled')
      assert.throws(() => stripe.webhooks.constructEvent(body, signature, 'whsec_other'))
      assert.throws(() => stripe.webhooks.constructEvent(`${body} `, signature, SECRET))
      ids.add(event.id)
    }
    const listed = []
    for await (const event of stripe.events.list({ limit: 100, created: { gte: 1 } })) listed.push(event)
    assert.equal(ids.size, listed.length)
    assert.ok(listed.every((event) => !event.livemode && ids.has(event.id)))
    assert.equal((await stripe.events.list({ delivery_success: false })).data.length, 0)
    const paid = await stripe.events.list({ types: ['invoice.paid', 'checkout.session.completed'] })
    assert.ok(paid.data.length >= 4)
    shapes.events = listed.filter((event, at) => listed.findIndex((other) => other.type === event.type) === at)
  },
  'every object is what the types of the SDK say'() {
    const folder = join(here, 'node_modules', '.shapes')
    mkdirSync(folder, { recursive: true })
    const { events, ...objects } = shapes
    // The SDK turns decimals into objects; the types are of those.
    const literal = (value) => JSON.stringify(value, null, 1)
      .replace(/"(\w+_decimal)": "([^"]*)"/g, '"$1": dec("$2")')
    const lines = ["import Stripe from 'stripe'", 'declare function dec(text: string): NonNullable<Stripe.Price["unit_amount_decimal"]>']
    let nth = 0
    for (const [type, value] of Object.entries(objects)) lines.push(`export const o${nth++}: Stripe.${type} = ${literal(value)}`)
    for (const event of events) lines.push(`export const o${nth++}: Stripe.Event = ${literal(event)}`)
    writeFileSync(join(folder, 'shapes.ts'), lines.join('\n'))
    const compiler = join(here, 'node_modules', 'typescript', 'bin', 'tsc')
    const compilerOptions = { noEmit: true, strict: true, skipLibCheck: true, target: 'es2022', module: 'nodenext', types: [] }
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['shapes.ts'] }))
    try {
      execFileSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' })
    } catch (error) {
      assert.fail(String(error.stdout).slice(0, 4000))
    }
  },
}

let passed = 0
let failed = 0
for (const [name, test] of Object.entries(tests)) {
  try {
    await test()
    passed += 1
    console.log(`ok      ${name}`)
  } catch (error) {
    failed += 1
    console.log(`FAILED  ${name}\n${error.stack ?? error}`)
  }
}
hook.close()
child?.removeAllListeners('exit')
child?.kill()
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
