// A line to a server on this machine on which everything takes MS milliseconds each way, as much of it as comes.
// Usage: node delay.mjs PORT TO MS. First it measures itself and says what it adds and how much it lets through.
import { connect, createServer } from 'node:net'

const [port, to, ms] = process.argv.slice(2).map(Number)

const line = target => createServer(near => {
  const far = connect(target, '127.0.0.1')
  for (const [from, into] of [[near, far], [far, near]]) {
    from.setNoDelay(true)
    from.on('data', chunk => setTimeout(() => into.write(chunk), ms))
    from.on('end', () => setTimeout(() => into.end(), ms))
    from.on('error', () => into.destroy())
  }
})
const listen = (server, at) => new Promise(done => server.listen(at, '127.0.0.1', () => done(server.address().port)))

const echo = createServer(socket => socket.setNoDelay(true).pipe(socket))
const trial = line(await listen(echo, 0))
const socket = connect(await listen(trial, 0), '127.0.0.1').setNoDelay(true)
const back = octets => new Promise(done => {
  const heard = chunk => { if ((octets -= chunk.length) <= 0) { socket.off('data', heard); done() } }
  socket.on('data', heard)
})
const timed = async (octets, times) => {
  const began = performance.now()
  for (let n = 0; n < times; n++) {
    const answer = back(octets)
    socket.write(Buffer.alloc(octets))
    await answer
  }
  return (performance.now() - began) / times
}
await timed(1, 5)
const small = await timed(1, 50), large = await timed(50e6, 1)
socket.end()
trial.close()
echo.close()
await listen(line(to), port)
console.log(`a round trip takes ${small.toFixed(1)} ms, and ${(50e3 / large).toFixed(0)} MB a second go there and back`)
