// Mails as they really go over SMTP, signed with a new key, before two judges who know nothing of Friday.
//
//   node signed.mjs PATH/TO/friday PATH/TO/python [KEY]   the key is left in the file KEY, where one is named
//
// Each judge's last line is "N passed, N failed"; there are two mails and two judges.
import { execFile, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const here = dirname(fileURLToPath(import.meta.url))
const [program, python, kept] = process.argv.slice(2).map(path => resolve(path))
const folder = mkdtempSync(join(tmpdir(), 'friday-signed.'))
const inside = name => join(folder, name)
const run = promisify(execFile)
const children = []
const start = (command, words, options) => children.push(spawn(command, words, { stdio: 'inherit', ...options }))

const freePort = () => new Promise(done => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address()
    server.close(() => done(port))
  })
})
const until = async (what, good) => {
  for (const end = Date.now() + 30_000; !await good(); await pause(50)) {
    if (Date.now() > end) throw new Error(`no ${what} in 30 seconds`)
  }
}

const feed = createServer((_, answer) => answer.end(readFileSync(join(here, '../fixtures/feeds/washington-post.xml'))))
await new Promise(ready => feed.listen(0, '127.0.0.1', ready))
const [smtp, site] = [await freePort(), await freePort()]
const key = kept ?? inside('dkim.pem')
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
const record = `v=DKIM1; k=rsa; p=${publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`
writeFileSync(inside('newsroom.toml'), `postal_address = "1 Mill Lane, Valley"
[[newsletters]]
slug = "weekly"
name = "The Friday digest"
from = "Долина <digest@valley.example>"
[[feeds]]
url = "http://127.0.0.1:${feed.address().port}/feed.xml"
section = "News"
`)
writeFileSync(inside('readers.csv'), 'email\nreader@domain.example\n')
const env = {
  PATH: process.env.PATH, FRIDAY_LOG: 'warn', FRIDAY_FETCH_PRIVATE: 'true',
  FRIDAY_BASE_URL: `http://127.0.0.1:${site}`, FRIDAY_LISTEN: `127.0.0.1:${site}`,
  FRIDAY_SMTP_URL: `smtp://127.0.0.1:${smtp}?tls=none`,
  FRIDAY_DKIM_KEY_FILE: key, FRIDAY_DKIM_SELECTOR: 'autumn',
}
const friday = async (...words) => (await run(program, words, { cwd: folder, env, timeout: 60_000 })).stdout.trim()

// What went over the wire: a digest, and the mail to somebody who has just signed up.
const mails = async () => {
  await friday('subscribers', 'import', 'readers.csv', '--newsletter', 'weekly', '--consent', 'signed')
  await friday('feeds', 'fetch')
  start(process.execPath, [join(here, '../bench/parts/sink.mjs'), smtp, inside('times.log'), inside('digest'), inside('sign-up')])
  start(program, ['serve'], { cwd: folder, env })
  const asks = (path, more) => fetch(env.FRIDAY_BASE_URL + path, more).then(answer => answer.ok, () => false)
  await until('server', () => asks('/readyz'))
  const issue = await friday('issue', 'new', 'weekly', '--subject', 'The week: Привет', '--top', '12')
  await friday('issue', 'send', issue, '--readers', '1')
  await until('digest', () => existsSync(inside('digest')))
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json' }
  const signedUp = await asks('/newsletters/weekly/subscribe', { method: 'POST', headers, body: '{"email":"new@domain.example"}' })
  if (!signedUp) throw new Error('nobody can sign up')
  await until('mail to who signed up', () => existsSync(inside('sign-up')))
  return ['digest', 'sign-up']
}

let good = true
const judge = async (who, program, script, mail) => {
  console.log(`${who} on the ${mail}:`)
  const words = [join(here, script), inside(mail), 'autumn._domainkey.valley.example', record]
  const { stdout, stderr } = await run(program, words, { timeout: 60_000 }).catch(error => {
    good = false
    return error
  })
  console.log((stdout + stderr).trimEnd())
}
try {
  const sent = await mails()
  // One of them is hashed where it stands, the other is written anew for it: both ways are judged.
  const loose = sent.filter(mail => /\t| {2}| \r/.test(readFileSync(inside(mail), 'latin1').split('\r\n\r\n').slice(1).join()))
  if (loose.join() !== 'sign-up') throw new Error(`not in relaxed form: ${loose}`)
  for (const mail of sent) {
    await judge('mailauth', process.execPath, 'signature.mjs', mail)
    await judge('dkimpy', python, 'signature.py', mail)
  }
} finally {
  for (const child of children) child.kill()
  feed.close()
  feed.closeAllConnections()
  rmSync(folder, { recursive: true, force: true })
}
process.exit(good ? 0 : 1)
