// Waits until smtp-sink's counter, which its option -c writes to a file, has reached FROM and then TO.
// Usage: node watch.mjs FILE FROM TO. Prints both times, in milliseconds.
import { fstatSync, openSync, readSync } from 'node:fs'

const STALLED = 300_000
const [file, ...marks] = process.argv.slice(2)
const fd = openSync(file)
const tail = Buffer.alloc(256)

const count = () => {
  const read = readSync(fd, tail, 0, tail.length, Math.max(0, fstatSync(fd).size - tail.length))
  return Number(tail.toString('latin1', 0, read).match(/mesg=\s*(\d+)\r/g)?.at(-1).match(/\d+/)[0] ?? 0)
}

const times = []
let last = -1, moved = Date.now()
const timer = setInterval(() => {
  const now = Date.now(), seen = count()
  if (seen !== last) [last, moved] = [seen, now]
  while (times.length < marks.length && seen >= marks[times.length]) times.push(now)
  if (times.length === marks.length) {
    console.log(times.join(' '))
    clearInterval(timer)
  } else if (now - moved > STALLED) {
    console.error(`the mail server has stood at ${seen} mails for ${STALLED / 1000} s; ${marks.at(-1)} were to come`)
    process.exit(1)
  }
}, 5)
