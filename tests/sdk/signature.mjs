// The signature of a mail, judged by mailauth, whose DNS is made up here.
// Usage: node signature.mjs MAIL NAME RECORD, where NAME is SELECTOR._domainkey.DOMAIN. The last line is "N passed, N failed".
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dkimVerify } from 'mailauth/lib/dkim/verify.js'

const [file, name, record] = process.argv.slice(2)
const mail = readFileSync(file, 'latin1')
const domain = name.split('._domainkey.')[1]
const resolver = async (asked, type) => {
  if (asked === name && type === 'TXT') return [[record]]
  throw Object.assign(new Error(`nothing at ${asked}`), { code: 'ENOTFOUND' })
}
const judge = async text => (await dkimVerify(Buffer.from(text, 'latin1'), { resolver })).results
const changed = (from, to) => {
  const other = mail.replace(from, to)
  assert.notEqual(other, mail, 'the mail has nothing to change')
  return judge(other)
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
    // The last two by RFC 8058, section 4.
    for (const header of ['from', 'to', 'subject', 'date', 'message-id', 'list-unsubscribe', 'list-unsubscribe-post']) {
      assert.ok(covered.includes(header), `${header} is not among ${covered}`)
    }
  },
  async 'another subject or another body is found out'() {
    for (const results of [await changed(/^Subject: /m, 'Subject: Another '), await changed(/\r\n\r\n/, '\r\n\r\nmore\r\n')]) {
      assert.notEqual(results[0].status.result, 'pass')
    }
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
