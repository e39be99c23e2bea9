// A mail server that writes down each mail it took: "MILLISECONDS DOMAIN", a line each.
// Usage: node sink.mjs PORT LOG [MAIL…]. The octets of its first mails go to these files.
import { createWriteStream, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'

const [port, log, ...files] = process.argv.slice(2)
const lines = createWriteStream(log)

const took = (octets, domain) => {
  const file = files.shift()
  if (file) writeFileSync(file, octets.toString('latin1').replace(/^\.\./gm, '.'), 'latin1')
  lines.write(`${Date.now()} ${domain}\n`)
}

createServer(socket => {
  socket.setNoDelay(true).on('error', () => {})
  let held = Buffer.alloc(0), reading = false, domain = ''
  const say = text => socket.write(`${text}\r\n`)
  const answers = {
    EHLO: () => say('250-sink.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 SMTPUTF8'),
    HELO: () => say('250 sink.example'),
    RCPT: line => { domain = /@([^>]*)>/.exec(line)?.[1] ?? ''; say('250 2.1.5 Ok') },
    DATA: () => { reading = true; say('354 Go on') },
    QUIT: () => { say('221 2.0.0 Bye'); socket.end() },
  }
  say('220 sink.example ESMTP')
  socket.on('data', chunk => {
    held = held.length ? Buffer.concat([held, chunk]) : chunk
    for (let end; (end = held.indexOf(reading ? '\r\n.\r\n' : '\r\n')) >= 0;) {
      if (reading) {
        took(held.subarray(0, end + 2), domain)
        held = held.subarray(end + 5)
        reading = false
        say('250 2.0.0 Ok')
      } else {
        const line = held.toString('latin1', 0, end)
        held = held.subarray(end + 2)
        const answer = answers[line.slice(0, 4).toUpperCase()] ?? (() => say('250 2.0.0 Ok'))
        answer(line)
      }
    }
  })
}).listen(port, '127.0.0.1')
