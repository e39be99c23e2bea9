// One walk through a running Friday in a real Chromium: sign up, confirm from the mailbox, sign in as staff, put an issue
// together from a newspaper's feed, send it, see it arrive, read it in the archive; each page looked at by axe-core at
// 1,280 and 320 px. Usage: node walk.mjs PATH_TO_FRIDAY [FOLDER_FOR_PICTURES]. Last line: "N passed, N failed".
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, existsSync, writeFileSync } from 'node:fs';
import { createServer as createFeed } from 'node:http';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';

const friday = resolve(process.argv[2]);
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const folder = mkdtempSync(join(tmpdir(), 'friday-walk-'));
const pictures = process.argv[3];
const feed = createFeed((request, answer) => {
  if (request.url === '/story') {
    answer.setHeader('Content-Type', 'text/html');
    answer.end(`<!doctype html><html lang="en"><title>A story</title><main><h1>A story</h1>
<script async src="${site}/embed/signup.js" data-newsletter="weekly"></script><p>It goes on.</p></main></html>`);
    return;
  }
  answer.setHeader('Content-Type', 'application/rss+xml');
  answer.end(readFileSync(new URL('../fixtures/feeds/washington-post.xml', import.meta.url)));
});
await new Promise(done => feed.listen(0, '127.0.0.1', done));
writeFileSync(join(folder, 'newsroom.toml'), `
name = "The Valley Post"
postal_address = "1 Mill Lane, Valley"
[[newsletters]]
slug = "weekly"
name = "The Friday digest"
headline = "Every Friday, the week from the valley"
from = "The Valley Post <digest@valley.example>"
[[feeds]]
url = "http://127.0.0.1:${feed.address().port}/feed.xml"
section = "News"
`);
const port = await new Promise(done => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});
const site = `http://127.0.0.1:${port}`;
const env = {
  PATH: process.env.PATH,
  FRIDAY_LISTEN: `127.0.0.1:${port}`,
  FRIDAY_BASE_URL: site,
  FRIDAY_DATABASE_URL: `sqlite:${join(folder, 'friday.db')}`,
  FRIDAY_KEY_FILE: join(folder, 'friday.key'),
  FRIDAY_FETCH_PRIVATE: 'true',
};
const server = spawn(friday, ['serve'], { cwd: folder, env, stdio: ['ignore', 'inherit', 'inherit'] });

let passed = 0;
let failed = 0;
function check(name, good, why = '') {
  if (good) passed++; else failed++;
  console.log(`${good ? 'ok    ' : 'FAILED'} ${name}${good ? '' : ` ${why}`}`);
}

async function until(name, ask) {
  for (let i = 0; i < 200; i++) {
    const answer = await ask().catch(() => undefined);
    if (answer) return answer;
    await new Promise(done => setTimeout(done, 100));
  }
  throw new Error(`${name}: not in 20 seconds`);
}

// Looks at a page at both widths: no fault for axe, nothing wider than the screen.
async function look(page, name) {
  for (const width of [1280, 320]) {
    await page.setViewportSize({ width, height: 800 });
    if (pictures) await page.screenshot({ path: join(pictures, `${name.replaceAll(/\W+/g, '-')}-${width}.png`), fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check(`${name}, ${width} px: no sideways scrolling`, wide <= 0, `${wide} px too wide`);
    await page.addScriptTag({ path: axe });
    const { violations } = await page.evaluate(() => window.axe.run());
    check(`${name}, ${width} px: axe finds nothing`, violations.length === 0,
      violations.map(v => `${v.id} at ${v.nodes[0].target}`).join('; '));
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}

async function signUp(browser, script) {
  const how = script ? 'with script' : 'without script';
  // axe is put in as a script of the page, which the site's own policy rightly forbids.
  const context = await browser.newContext({ javaScriptEnabled: script, bypassCSP: true });
  const page = await context.newPage();
  const address = `reader-${script}@example.org`;
  await page.goto(`${site}/newsletters/weekly`);
  if (script) await look(page, 'newsletter');
  await page.fill('input[name=email]', address);
  // A form that comes back in a second was filled in by a machine.
  await page.waitForTimeout(3500);
  await page.click('form[action$="/subscribe"] button:not([name])');
  check(`sign-up is answered ${how}`, !page.url().includes('error') && (await page.locator('h1').count()) === 1);
  if (script) await look(page, 'after the sign-up');
  const link = await until('the confirmation arrives', async () => {
    await page.goto(`${site}/mailbox`);
    const mail = mailTo(page, address, 'Please confirm your address').locator('a');
    if (!(await mail.count())) return undefined;
    await page.goto(new URL(`${await mail.getAttribute('href')}?part=text`, site).href);
    return (await page.locator('pre').innerText()).match(/https?:\/\/\S+\/confirm\/\S+/)?.[0];
  });
  await page.goto(link);
  if (script) await look(page, 'confirm');
  await page.click('main form button');
  check(`confirming is answered ${how}`, (await page.locator('h1').count()) === 1);
  if (script) await look(page, 'confirmed');
  const welcomes = await until('the welcome arrives', async () => {
    await page.goto(`${site}/mailbox`);
    return mailTo(page, address, 'Welcome to The Friday digest').count();
  });
  check(`a welcome comes once ${how}`, welcomes === 1, String(welcomes));
  await context.close();
}

// A mail in the list of the mailbox.
function mailTo(page, address, subject) {
  return page.locator('ul.picks li', { hasText: address }).filter({ hasText: subject });
}

// The form on a page of the newsroom's own site, which has another origin than ours.
async function embedded(browser) {
  const page = await browser.newPage({ viewport: { width: 360, height: 800 } });
  await page.goto(`http://localhost:${feed.address().port}/story`);
  const box = page.locator('iframe');
  const high = await until('the frame has its height', async () => {
    const content = await page.frameLocator('iframe').locator('main').evaluate(main => main.getBoundingClientRect().height);
    return Math.abs((await box.boundingBox()).height - content) < 2 && content;
  });
  check('the frame is as high as its content', high > 150, String(high));
  check('the frame says what it is', (await box.getAttribute('title')) === 'The Friday digest');
  if (pictures) await page.screenshot({ path: join(pictures, 'embedded-360.png'), fullPage: true });
  const form = page.frameLocator('iframe');
  await form.locator('input[name=email]').fill('framed@example.org');
  await page.waitForTimeout(3500);
  await form.locator('button').click();
  await page.waitForURL(`${site}/**`);
  check('a sign-up in the frame leads to our page', (await page.locator('h1').innerText()) === 'Look in your mailbox');
  await page.close();
}

async function staff(browser) {
  const out = execFileSync(friday, ['staff', 'add', 'editor@example.org', '--role', 'admin'], { cwd: folder, env }).toString();
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  await page.goto(out.match(/https?:\/\/\S+/)[0]);
  await look(page, 'choose a password');
  for (const field of await page.locator('input[type=password]').all()) await field.fill('a long walk to the harbour');
  await page.click('main form button');
  await page.goto(`${site}/staff`);
  check('staff are let in', !page.url().includes('sign-in'), page.url());
  await look(page, 'desk');
  for (const part of ['issues', 'articles', 'feeds', 'delivery']) {
    const answer = await page.goto(`${site}/staff/${part}`);
    check(`/staff/${part} is there`, answer.status() === 200, String(answer.status()));
  }
  await compose(page);
  await send(page);
  await arrived(page);
  await context.close();
}

async function compose(page) {
  await page.goto(`${site}/staff/issues`);
  await page.fill('#subject', 'The week in the valley');
  await page.selectOption('#top', '10');
  await page.click('form[action="/staff/issues"] button');
  check('an issue begins with ten articles', (await page.locator('#issue .item[id^=e]').count()) === 10);
  await look(page, 'composer');
  const heads = () => page.locator('#issue .item[id^=e] > div > b').allInnerTexts();
  const before = await heads();
  await page.locator('button[name=down]').first().click();
  const after = await heads();
  check('an article moves by its button', after[0] === before[1] && after[1] === before[0]);
  const items = page.locator('#issue .item[id^=e]');
  await items.first().scrollIntoViewIfNeeded();
  const [from, to] = [await items.nth(1).locator('.handle').boundingBox(), await items.first().boundingBox()];
  await page.mouse.move(from.x + 5, from.y + 8);
  await page.mouse.down();
  await page.mouse.move(from.x + 8, from.y, { steps: 4 });
  await page.mouse.move(to.x + 60, to.y + 20, { steps: 8 });
  await page.mouse.up();
  const dragged = await until('the order is saved', async () => {
    const order = await heads();
    return order.join() === after.join() ? undefined : order;
  });
  check('an article moves by dragging', dragged.length === 10 && dragged[0] === after[1] && dragged[1] === after[0]);
  await dropIntoEmptySection(page);
  await page.fill('#introduction', 'Good morning. It rained **all week**.');
  await page.click('#issue button[name=save]:visible');
  const saved = await page.locator('#introduction').inputValue();
  check('an introduction is kept', saved.startsWith('Good morning'), saved);
  const mail = page.frameLocator('iframe.as-phone');
  check('the preview shows it', await mail.getByText('all week').first().isVisible().catch(() => false));
}

async function dropIntoEmptySection(page) {
  const opinion = page.locator('#issue section[data-section="Opinion"]');
  const item = page.locator('#issue .item[id^=e]').first();
  const [id, empty] = [await item.getAttribute('id'), opinion.locator('.empty')];
  await empty.scrollIntoViewIfNeeded();
  await item.scrollIntoViewIfNeeded();
  const [from, to] = [await item.locator('.handle').boundingBox(), await empty.boundingBox()];
  await page.mouse.move(from.x + 5, from.y + 8);
  await page.mouse.down();
  await page.mouse.move(from.x + 8, from.y + 20, { steps: 4 });
  await empty.scrollIntoViewIfNeeded();
  const now = (await empty.boundingBox()) ?? to;
  await page.mouse.move(now.x + 60, now.y + now.height / 2, { steps: 8 });
  await page.mouse.up();
  const kept = await until('the section is saved', async () => {
    await page.reload();
    return (await opinion.locator('.item').count()) === 1 && opinion.locator('.item').getAttribute('id');
  });
  check('an article drops into an empty section', kept === id, `${kept} for ${id}`);
}

async function send(page) {
  await page.click('text=Schedule or send');
  await look(page, 'before the send');
  await page.fill('#count', '2');
  await page.click('text=Send to all');
  check('the window to stop is open', await page.getByText('Do not wait').first().isVisible());
  await look(page, 'the window');
  await page.click('text=Do not wait');
  await until('the issue is sent', async () => {
    await page.reload();
    return (await page.locator('#progress').innerText()).includes('2') && (await page.locator('#progress .state').innerText()).includes('Sent');
  });
  await look(page, 'sent');
}

async function arrived(page) {
  const mails = await until('the digest arrives', async () => {
    await page.goto(`${site}/mailbox`);
    const count = await page.locator('ul.picks a', { hasText: 'The week in the valley' }).count();
    return count === 2 ? count : undefined;
  });
  check('each reader has the digest once', mails === 2);
  const unsigned = await page.context().browser().newContext({ bypassCSP: true });
  const reader = await unsigned.newPage();
  await reader.goto(`${site}/newsletters/weekly/issues`);
  await look(reader, 'archive');
  await reader.click('text=The week in the valley');
  check('the archive has the issue', (await reader.locator('article.entry').count()) >= 10);
  await look(reader, 'issue');
  for (const [name, path] of [['home', '/'], ['giving', '/support'], ['Russian', '/newsletters/weekly?lang=ru'], ['safety', '/safety']]) {
    await reader.goto(site + path);
    await look(reader, name);
  }
  await unsigned.close();
}

let browser;
try {
  await until('Friday starts', async () => (await fetch(`${site}/readyz`)).ok);
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
  browser = await chromium.launch({ executablePath, args });
  await signUp(browser, true);
  await signUp(browser, false);
  await embedded(browser);
  await staff(browser);
} catch (error) {
  check('the walk came to its end', false, error.stack);
} finally {
  await browser?.close();
  server.kill('SIGTERM');
  await new Promise(done => (server.exitCode === null ? server.once('exit', done) : done()));
  feed.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
