// The challenge page: a code by message, typed and pasted, wrong and right.

import { ask, facts, same, walk } from './harness.mjs';

/** The file that the token leads to, once the second factor is passed. */
const FILE = `/hello.txt?token=${facts.token}`;

async function pass(person) {
  await person.goto(FILE);
  await person.sees('offer', 'Confirm that it is you');
  await person.leads(() => person.button(/\+45/).click());
  const code = await ask('sms', { to: facts.phone });
  await person.sees('sent', 'Confirm that it is you');
  await person.field('Code').fill(code === '000000' ? '000001' : '000000');
  await person.leads(() => person.button('Confirm').click());
  await person.sees('wrong');
  await person.field('Code').fill(code);
  await person.leads(() => person.button('Confirm').click());
  same(await person.text(), 'GET /hello.txt 0 bytes', 'the file');
}

/** A code by mail; and what the operator ends is asked for again. */
async function passByMail(person) {
  await person.goto(FILE);
  await person.leads(() => person.button(/@example/).click());
  await person.field('Code').fill(await ask('mail'));
  await person.leads(() => person.button('Confirm').click());
  same(await person.text(), 'GET /hello.txt 0 bytes', 'the file');
  await ask('revoke');
  await person.goto(FILE);
  await person.sees('revoked', 'Confirm that it is you');
}

await walk('challenge', async (open) => {
  for (const size of ['phone', 'desktop']) {
    await pass(await open(size));
    await pass(await open(size, { javaScriptEnabled: false }));
  }
  await passByMail(await open('phone'));
});
