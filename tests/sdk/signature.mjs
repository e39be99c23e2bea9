// The signature of a mail, judged by mailauth, whose DNS is made up here.
// Usage: node signature.mjs MAIL NAME RECORD, where NAME is SELECTOR._domainkey.DOMAIN. The last line is "N passed, N failed".
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dkimVerify } from 'mailauth/lib/dkim/verify.js'

const [file, name, record] = process.argv.slice(2)
const mail = readFileSync(file)
const body = mail.indexOf('\r\n\r\n') + 4
const domain = name.split('._domainkey.')[1]
const resolver = async (asked, type) => {
  if (asked === name && type === 'TXT') return [[record]]
  throw Object.assign(new Error(`nothing at ${asked}`), { code: 'ENOTFOUND' })
}
const judge = async text => (await dkimVerify(text, { resolver })).results
const refuses = async (text, what) => {
  const [result] = await judge(text)
  assert.notEqual(result.status.result, 'pass', `${what} was not found out`)
}
// The mail with one octet changed, as a mail server or a thief on the way might.
const withAnother = at => {
  const other = Buffer.from(mail)
  other[at] ^= 1
  return other
}
const endOf = field => {
  const found = new RegExp(`^${field}:[^\\r]*(\\r\\n[ \\t][^\\r]*)*`, 'im').exec(mail.toString('latin1'))
  return found.index + found[0].length - 1
}

const tests = {
  async 'the signature holds, and is of the domain that the mail is from'() {
    const [result, ...more] = await judge(mail)
    assert.equal(result?.status.result, 'pass', JSON.stringify(result))
    assert.equal(more.length, 0)
    assert.equal(result.signingDomain, domain)
    assert.equal(result.status.aligned, domain)
  },
  async 'it covers what a mailbox shows and what its button for leaving uses'() {
    const [result] = await judge(mail)
    const covered = result.signingHeaders.keys.toLowerCase().split(': ')
    // The last two by RFC 8058, section 4, where the mail has them.
    for (const header of ['from', 'to', 'subject', 'date', 'message-id', 'list-unsubscribe', 'list-unsubscribe-post']) {
      const has = new RegExp(`^${header}:`, 'im').test(mail.toString('latin1', 0, body))
      assert.ok(covered.includes(header) || !has, `${header} is not among ${covered}`)
    }
  },
  async 'one octet of a signed field is found out'() {
    for (const field of ['From', 'To', 'Subject', 'Date', 'Message-ID']) await refuses(withAnother(endOf(field)), field)
  },
  async 'one octet of the body is found out, the first, the middle, the last'() {
    const last = mail.toString('latin1').trimEnd().length - 1
    for (const at of [body, (body + mail.length) >> 1, last]) await refuses(withAnother(at), `octet ${at}`)
  },
}

let passed = 0, failed = 0
for (const [title, test] of Object.entries(tests)) {
  try {
    await test()
    passed += 1
    console.log(`ok      ${title}`)
  } catch (error) {
    failed += 1
    console.log(`FAILED  ${title}\n${error.stack ?? error}`)
  }
}
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
