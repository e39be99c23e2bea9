// Giving in a real Chromium, with the stand-in for Stripe: give, be declined, leave, come back, be reminded, end a gift.
// The whole list is walked four times: with and without scripts, by keyboard alone at 320 px and by mouse at 1,280 px.
// Usage: node give.mjs PATH_TO_FRIDAY [FOLDER_FOR_PICTURES]. Last line: "N passed, N failed".
import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';

const WAYS = [
  { name: 'keyboard', hand: keyboard, width: 320, script: true },
  { name: 'keyboard without script', hand: keyboard, width: 320, script: false },
  { name: 'mouse', hand: mouse, width: 1280, script: true },
  { name: 'mouse without script', hand: mouse, width: 1280, script: false },
];
const friday = resolve(process.argv[2]);
const pictures = process.argv[3];
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'friday-give-'));
writeFileSync(join(folder, 'newsroom.toml'), `
name = "The Valley Post"
postal_address = "1 Mill Lane, Valley"
statement_text = "MILL LANE MEDIA"
[support]
appeal = "We have no owner. What we have is **readers**."
currencies = [{ code = "USD", fee = { basis_points = 290, fixed = 30 } }, { code = "EUR" }]
`);
// The stand-in hands its events over when told to: late, twice and out of order, as Stripe may.
const standIn = spawn(friday, ['demo', 'stripe', '--listen', '127.0.0.1:0', '--by-hand'], { stdio: ['ignore', 'pipe', 'inherit'] });
const stripe = /http:\/\/127\.0\.0\.1:\d+/.exec(await once(standIn.stdout, 'data'))[0];
const probe = createServer().listen(0, '127.0.0.1');
await once(probe, 'listening');
const { port } = probe.address();
probe.close();
const site = `http://127.0.0.1:${port}`;
const env = {
  PATH: process.env.PATH,
  FRIDAY_LISTEN: `127.0.0.1:${port}`,
  FRIDAY_BASE_URL: site,
  FRIDAY_DATABASE_URL: `sqlite:${join(folder, 'friday.db')}`,
  FRIDAY_KEY_FILE: join(folder, 'friday.key'),
  FRIDAY_STRIPE_SECRET_KEY: 'sk_test_standin_browser',
  FRIDAY_STRIPE_WEBHOOK_SECRETS: 'whsec_standin',
  FRIDAY_STRIPE_API_BASE: stripe,
};
const server = spawn(friday, ['serve'], { cwd: folder, env, stdio: ['ignore', 'inherit', 'inherit'] });

let passed = 0;
let failed = 0;
// Where the walk is: one of the ways, its page, its hand, and the names of the pages that were looked at.
let way, page, hand, looked;
const mailsDue = [];
const followed = new Set();

function check(name, good, why = '') {
  if (good) passed++; else failed++;
  console.log(`${good ? 'ok    ' : 'FAILED'} ${way ? `${way.name}: ` : ''}${name}${good ? '' : ` – ${why}`}`);
}

async function until(name, ask) {
  for (const end = Date.now() + 20_000; Date.now() < end; await new Promise(done => setTimeout(done, 100))) {
    const answer = await ask().catch(() => undefined);
    if (answer) return answer;
  }
  throw new Error(`${name}: not in 20 seconds`);
}

async function control(act, form) {
  const answer = await fetch(`${stripe}/_standin/${act}`, { method: 'POST', body: new URLSearchParams(form) });
  if (!answer.ok) throw new Error(`${act}: ${answer.status}`);
  return answer.json();
}

async function deliver() {
  const { answers } = await control('deliver', { copies: '2', shuffle: String(passed + 1) });
  check('the events are taken', answers.length > 0 && answers.every(([, status]) => status === 200), JSON.stringify(answers));
}

async function listed(path) {
  const headers = { Authorization: `Bearer ${env.FRIDAY_STRIPE_SECRET_KEY}` };
  return (await (await fetch(`${stripe}/v1/${path}`, { headers })).json()).data;
}

// The pages at Checkout that are made while something is done. Every attempt asks for one of its own, so one is one.
async function sessionsOf(act) {
  const before = new Set((await listed('checkout/sessions?limit=100')).map(session => session.id));
  await act();
  return (await listed('checkout/sessions?limit=100')).filter(session => !before.has(session.id));
}

async function mailsTo(address) {
  const all = await (await fetch(`${site}/mailbox`, { headers: { Accept: 'application/json' } })).json();
  return all.filter(mail => mail.to === address);
}

// The text of a mail as soon as it arrives. Whether it came once is seen at the end, when all had time to come.
async function mail(to, subject) {
  mailsDue.push({ way, to, subject });
  return until(`"${subject}" arrives`, async () => (await mailsTo(to)).find(mail => mail.subject === subject)?.text);
}

// Two hands. Neither does anything that a person could not do.
function keyboard() {
  const reach = async target => {
    const isThere = () => target.evaluateAll(all => all.includes(document.activeElement));
    for (let tabs = 0; !(await isThere()); tabs++) {
      if (tabs === 60) throw new Error(`${target} cannot be reached in ${tabs} tabs`);
      await page.keyboard.press('Tab');
    }
  };
  const again = () => page.keyboard.press('Enter');
  const press = async target => { await reach(target); await again(); };
  const choose = async radio => {
    if ((await radio.getAttribute('type')) === 'checkbox') { await reach(radio); return page.keyboard.press('Space'); }
    const group = page.locator(`input[name="${await radio.getAttribute('name')}"]`);
    await reach(group);
    if (!(await group.evaluateAll(all => all.some(one => one.checked)))) await page.keyboard.press('Space');
    for (let left = await group.count(); left > 0 && !(await radio.isChecked()); left--) await page.keyboard.press('ArrowDown');
    if (!(await radio.isChecked())) throw new Error(`${radio} cannot be chosen by arrows`);
  };
  const type = async (field, text) => { await reach(field); await page.keyboard.type(text); };
  return { again, press, choose, type };
}

function mouse() {
  const again = async () => { await page.mouse.down(); await page.mouse.up(); };
  // Not click(), which waits for ever at a button that says that it is off and can be pressed all the same.
  const press = async target => { await target.hover(); await again(); };
  const type = async (field, text) => { await press(field); await page.keyboard.type(text); };
  return { again, press, choose: press, type };
}

// Looks at a page, once each way: nothing too wide, no link that leads nowhere, no fault for axe.
async function look(name) {
  if (looked.has(name)) return;
  looked.add(name);
  const picture = `${way.name} ${name}`.replaceAll(/\W+/g, '-');
  if (pictures) await page.screenshot({ path: join(pictures, `${picture}.png`), fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(`${name}: no sideways scrolling`, wide <= 0, `${wide} px too wide`);
  const out = await page.locator('main *').evaluateAll(all => {
    const edge = document.querySelector('main').getBoundingClientRect().right + 1;
    return all.filter(one => one.getBoundingClientRect().right > edge).map(one => one.outerHTML.slice(0, 60).replaceAll('\n', ' '));
  });
  check(`${name}: nothing sticks out of the column`, out.length === 0, out[0]);
  const links = await page.locator('a[href]:not([href^="#"])').evaluateAll(all => all.map(link => link.href));
  const dead = [];
  for (const link of links.filter(link => link.startsWith(site) && !followed.has(link))) {
    followed.add(link);
    const { ok, status } = await fetch(link);
    if (!ok) dead.push(`${status} ${link}`);
  }
  check(`${name}: no dead links`, dead.length === 0, dead.join());
  if (!way.script) return;
  // Evaluated and not put in as a script, so that the site's own policy stays in force.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  check(`${name}: axe finds nothing`, violations.length === 0, violations.map(v => `${v.id} at ${v.nodes[0].target}`).join('; '));
}

const ONCE = { often: 'Once', adverb: 'once', own: '7.50', said: '$7.50', thanks: 'Thank you' };
const MONTHLY = { often: 'Monthly', adverb: 'monthly', said: '$10', thanks: 'Your monthly gift has begun' };
const ANNUAL = { often: 'Annual', adverb: 'annually', said: '€100', currency: 'euros', thanks: 'Your annual gift has begun' };
const giver = what => `${what}.${way.name.replaceAll(' ', '-')}@example.org`;
const radio = name => page.getByRole('radio', { name, exact: true });
const own = role => page.getByRole(role, { name: /^Other amount/ });
const giveButton = () => page.getByRole('button', { name: /^Give/ });
const payButton = () => page.getByRole('button', { name: /^Pay / });
const shown = async (locator = page.getByRole('main')) => (await locator.innerText()).replaceAll(/\s+/g, ' ').trim();
const answerNo = () => hand.choose(page.getByRole('group', { name: /do you live/ }).getByRole('radio', { name: 'No', exact: true }));

async function changeCurrency(name) {
  await hand.press(page.getByRole('group', { name: 'Currency' }).getByRole('link', { name }));
  await page.waitForURL(/currency=/);
}

async function fillIn(gift) {
  await page.goto(`${site}/support`);
  if (gift.currency) await changeCurrency(gift.currency);
  await answerNo();
  await hand.choose(radio(gift.often));
  await hand.choose(gift.own ? own('radio') : radio(gift.said));
  if (gift.own) await hand.type(own('textbox'), gift.own);
}

// Without a script the button cannot know the amount, and says only how often.
async function checkForm(name, gift) {
  const wanted = ['Give', ...(way.script ? [gift.said] : []), gift.adverb].join(' ');
  const says = await shown(giveButton());
  check(`${name}: the button says "${wanted}"`, says === wanted, says);
  const typed = await own('textbox').inputValue();
  const isChosen = gift.own ? typed === gift.own && (await own('radio').isChecked()) : await radio(gift.chosen ?? gift.said).isChecked();
  check(`${name}: ${gift.often} and ${gift.said} are chosen`, isChosen && (await radio(gift.often).isChecked()), typed);
}

async function arrive() {
  await until('Checkout', async () => page.url().startsWith(`${stripe}/c/pay/`));
  await payButton().waitFor();
  return page.url();
}

async function goOn() {
  await hand.press(giveButton());
  return arrive();
}

async function pay(name, gift, to) {
  await hand.type(page.getByLabel('E-mail'), to);
  await hand.press(payButton());
  await page.waitForURL(`${site}/support/thanks?**`);
  const says = await shown();
  check(`${name}: the thanks say the amount`, says.includes(`${gift.said}, ${gift.often.toLowerCase()}`), says);
  await look(`thanks ${gift.often}`);
  await deliver();
  const text = await mail(to, gift.thanks);
  check(`${name}: the mail says the amount`, text.includes(`${gift.said} on `), text);
  return text;
}

async function give(gift) {
  const name = `give ${gift.adverb}`;
  let text;
  const made = await sessionsOf(async () => {
    await fillIn(gift);
    await checkForm(name, gift);
    await look(`form ${gift.often}`);
    await goOn();
    await look('Checkout');
    text = await pay(name, gift, giver(gift.adverb));
  });
  check(`${name}: one session, paid`, made.length === 1 && made[0].payment_status === 'paid', JSON.stringify(made));
  return text;
}

async function pressTwice() {
  const posts = [];
  const made = await sessionsOf(async () => {
    await fillIn(MONTHLY);
    page.on('request', request => { if (request.method() === 'POST' && request.url().startsWith(site)) posts.push(request); });
    // The first press has to wait for a second try at the stand-in, and meanwhile comes the second press.
    await control('fail-next', { status: '500' });
    await hand.press(giveButton());
    await until('the first press is sent', async () => posts.length > 0);
    await hand.again();
    await arrive();
  });
  // A script may hold the second press; the server has to be a match for it anyhow.
  if (!way.script) check('pressed twice: both presses are sent', posts.length === 2, posts.length);
  check('pressed twice: one session, one attempt', made.length === 1, made.length);
  await pay('pressed twice', MONTHLY, giver('twice'));
}

// Browsers keep the page that was left as it stood, or read it again and put back what was typed.
async function comeBack(isKept) {
  const name = `back from Checkout, the page is ${isKept ? 'kept' : 'read again'}`;
  let first, second;
  const made = await sessionsOf(async () => {
    await fillIn(ANNUAL);
    // A page that wants to hear when it is left is not kept.
    if (!isKept) await page.evaluate(() => addEventListener('unload', () => {}));
    await page.evaluate(() => document.body.classList.add('seen'));
    first = await goOn();
    // A page that was kept does not load again, so that is not waited for.
    await page.goBack({ waitUntil: 'commit' });
    await giveButton().waitFor();
    if (!isKept) await page.waitForLoadState();
    check(`${name}: so it is`, (await page.locator('body.seen').count()) === (isKept ? 1 : 0));
    await checkForm(name, ANNUAL);
    check(`${name}: the question is answered`, await radio('No').isChecked());
    check(`${name}: the button does not say that it is off`, !(await giveButton().getAttribute('aria-disabled')), 'aria-disabled');
    await look(name);
    second = await goOn();
    await pay(name, ANNUAL, giver(isKept ? 'kept' : 'read-again'));
  });
  const paid = made.filter(session => session.payment_status === 'paid').length;
  check(`${name}: on to ${first === second ? 'the same' : 'a fresh'} session, paid once`, paid === 1 && made.length <= 2, paid);
}

async function beDeclined() {
  const gift = { ...ONCE, own: undefined, said: '$50' };
  const made = await sessionsOf(async () => {
    await fillIn(gift);
    await goOn();
    await hand.type(page.getByLabel('E-mail'), giver('declined'));
    await hand.press(page.getByRole('button', { name: 'Be declined' }));
    await page.getByRole('alert').filter({ hasText: 'declined' }).waitFor();
    await look('declined');
    await pay('declined first', gift, giver('declined'));
  });
  const charges = (await listed(`charges?payment_intent=${made[0].payment_intent}`)).filter(charge => charge.paid);
  check('declined first: one session, one payment', made.length === 1 && charges.length === 1, JSON.stringify(charges));
}

async function leave() {
  const gift = { ...MONTHLY, own: '12.34', said: '€12.34', currency: 'euros' };
  await fillIn(gift);
  await goOn();
  await hand.press(page.getByRole('button', { name: 'Leave without paying' }));
  await page.waitForURL(`${site}/support?**`);
  await checkForm('left Checkout', gift);
  await look('left Checkout');
  await answerNo();
  await goOn();
  await pay('left Checkout, then given', gift, giver('left'));
}

// Without a script the page cannot know what was chosen before the link is followed.
async function changeOfMind() {
  await fillIn(ONCE);
  await changeCurrency('euros');
  check('how often outlives a change of the currency', await radio(ONCE.often).isChecked(), 'it is monthly again');
}

// Whoever goes through the amounts by arrows, perhaps to hear them, has to stay among them.
async function arrows() {
  await fillIn({ ...MONTHLY, said: '$5' });
  const amounts = await page.getByRole('group', { name: 'How much each month' }).getByRole('radio').count();
  for (let left = amounts; left > 0; left--) await page.keyboard.press('ArrowDown');
  check('the arrows lead around the amounts', await radio('$5').isChecked(), await page.evaluate(() => document.activeElement.name));
}

// Who gives in Russian is answered in Russian, though the browser would rather have English.
async function inRussian() {
  const lookAt = async name => {
    check(`${name} is in Russian`, (await page.locator('html[lang=ru]').count()) === 1, await shown());
    await look(`${name} in Russian`);
  };
  await page.goto(`${site}/support`);
  await hand.press(page.getByRole('link', { name: 'Русский' }));
  await page.waitForURL(/lang=ru/);
  await hand.choose(radio('Нет'));
  await lookAt('the form');
  await hand.press(page.getByRole('button', { name: /^Поддержать/ }));
  await arrive();
  await hand.type(page.getByLabel('E-mail'), giver('russian'));
  await hand.press(payButton());
  await page.waitForURL(`${site}/support/thanks?**`);
  await lookAt('the thanks page');
  await deliver();
  await page.goto(/http\S+\/support\/manage\/\S+/.exec(await mail(giver('russian'), 'Ежемесячный взнос начался'))[0]);
  await lookAt('the page behind the link in the mail');
}

async function beReminded() {
  await page.goto(`${site}/support`);
  await hand.press(page.getByRole('link', { name: 'Remind me later' }));
  await page.waitForURL(`${site}/support/remind`);
  await look('remind me');
  const months = await page.getByRole('group', { name: 'When' }).locator('label').allInnerTexts();
  const month = months[2].trim();
  await hand.choose(radio(month));
  await hand.type(page.getByLabel('Your email address'), giver('later'));
  await hand.press(page.getByRole('button', { name: 'Remind me' }));
  await page.getByRole('heading', { name: 'Please look into your mailbox' }).waitFor();
  await look('remind me, a mail is sent');
  await page.goto(/http\S+\/support\/remind\/confirm\/\S+/.exec(await mail(giver('later'), 'Please confirm the reminder'))[0]);
  await look('remind me, confirm');
  await hand.press(page.getByRole('button', { name: 'Yes, remind me' }));
  await page.getByRole('heading', { name: 'The reminder is set' }).waitFor();
  check('remind me: it is set for the month that was chosen', (await shown()).includes(month), await shown());
  await look('remind me, set');
}

// The fee as well: the button says what is taken, and Checkout takes that.
async function coverTheFee() {
  const gift = { ...MONTHLY, said: '$5' };
  await fillIn(gift);
  await hand.choose(page.getByRole('checkbox', { name: /^Cover the payment fee/ }));
  if (way.script) check('with the fee: the button says "Give $5.46 monthly"', (await shown(giveButton())) === 'Give $5.46 monthly', await shown(giveButton()));
  await goOn();
  check('with the fee: Checkout takes $5.46', (await shown()).includes('5.46'), await shown());
  await hand.press(page.getByRole('button', { name: 'Leave without paying' }));
  await page.waitForURL(`${site}/support?**`);
  check('with the fee: it is still chosen after leaving', await page.getByRole('checkbox', { name: /^Cover/ }).isChecked());
  await checkForm('with the fee', { ...gift, said: way.script ? '$5.46' : '$5', chosen: '$5' });
}

// Another amount, a pause and on again, each by its own button on the giver's page.
async function change() {
  const said = text => page.getByRole('status').filter({ hasText: text }).waitFor();
  await hand.choose(radio('$5'));
  await hand.press(giveButton());
  await said('Your gift has changed');
  check('your gift: it is another amount', (await shown()).includes('$5 each month'), await shown());
  await look('your gift, changed');
  await hand.press(page.getByRole('button', { name: 'Pause', exact: true }));
  await said('Your gift is paused');
  await look('your gift, paused');
  await hand.press(page.getByRole('button', { name: 'End the pause now' }));
  await said('goes on with the next payment');
  for (const subject of ['Your gift has changed', 'Your gift is paused']) await mail(giver(MONTHLY.adverb), subject);
}

async function end(thanks) {
  await page.goto(/http\S+\/support\/manage\/\S+/.exec(thanks)[0]);
  check('your gift: it is shown', (await shown()).includes('$10 each month'), await shown());
  await look('your gift');
  await change();
  await hand.press(page.getByRole('button', { name: 'End my monthly gift' }));
  await page.getByRole('status').filter({ hasText: 'Your gift has ended' }).waitFor();
  const says = await shown();
  check('your gift: it ended today and has no next time', says.includes('Ended on') && !says.includes('Next time'), says);
  check('your gift: it cannot be ended again', (await page.getByRole('button', { name: 'End my monthly gift' }).count()) === 0);
  await look('your gift, ended');
  const [customer] = await listed(`customers?email=${encodeURIComponent(giver(MONTHLY.adverb))}`);
  const [gift] = await listed(`subscriptions?status=canceled&customer=${customer?.id}`);
  check('your gift: it ended at the stand-in', gift?.status === 'canceled');
  await deliver();
  const text = await mail(giver(MONTHLY.adverb), 'Your gift has ended');
  check('your gift: the mail names what ended', text.includes('gift of $5 has ended'), text);
}

async function walk() {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  // Pages are kept for the back button, as they are in every browser that is not being tested.
  const browser = await chromium.launch({ executablePath, args, ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  // Without scripts it cannot be seen when a smooth scroll is over.
  const context = await browser.newContext({
    javaScriptEnabled: way.script, viewport: { width: way.width, height: 800 }, locale: 'en-GB', reducedMotion: 'reduce',
  });
  const faults = new Set();
  const foreign = new Set();
  context.on('console', message => message.type() === 'error' && faults.add(`${message.text()} at ${message.location().url}`));
  context.on('weberror', error => faults.add(error.error().message));
  context.on('request', request => { if (![site, stripe].includes(new URL(request.url()).origin)) foreign.add(request.url()); });
  [page, hand, looked] = [await context.newPage(), way.hand(), new Set()];
  try {
    await give(ONCE);
    const thanks = await give(MONTHLY);
    await give(ANNUAL);
    await pressTwice();
    await comeBack(true);
    await comeBack(false);
    await beDeclined();
    await leave();
    await coverTheFee();
    if (way.script) await changeOfMind();
    if (way.hand === keyboard) await arrows();
    await inRussian();
    await beReminded();
    await end(thanks);
  } catch (error) {
    check('the walk came to its end', false, `${error.stack} at ${page.url()}`);
  }
  check('no errors in the console', faults.size === 0, [...faults].join('; '));
  check('nothing is asked of other sites', foreign.size === 0, [...foreign].join('; '));
  await browser.close();
}

// When all events and mails have had their time: the same sums here and at the stand-in, and each mail once.
async function settle() {
  const reconcile = async () => JSON.parse(execFileSync(friday, ['stripe', 'reconcile', '--json'], { cwd: folder, env }));
  const report = await until('the stand-in and we agree', reconcile);
  check('every event had come, and the sums are equal', report.equal && report.taken_in === 0, JSON.stringify(report));
  for (way of WAYS) {
    const due = mailsDue.filter(one => one.way === way);
    for (const to of new Set(due.map(one => one.to))) {
      const came = (await mailsTo(to)).map(mail => mail.subject).sort().join();
      check(`each mail once to ${to}`, came === due.filter(one => one.to === to).map(one => one.subject).sort().join(), came);
    }
  }
}

try {
  await until('Friday starts', async () => (await fetch(`${site}/readyz`)).ok);
  await control('webhook', { url: `${site}/stripe/webhook`, secrets: env.FRIDAY_STRIPE_WEBHOOK_SECRETS });
  for (way of WAYS) await walk();
  way = undefined;
  await settle();
} catch (error) {
  check('the walk came to its end', false, error.stack);
} finally {
  for (const [child, signal] of [[server, 'SIGTERM'], [standIn, 'SIGINT']]) {
    if (child.exitCode === null && child.signalCode === null && child.kill(signal)) await once(child, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
