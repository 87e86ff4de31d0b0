// The challenge page to whoever is in a hurry: a new code too early, too many wrong ones.

import { ask, check, facts, same, walk } from './harness.mjs';

const ENTER = 'Enter your code –';
const not = (code) => (code === '000000' ? '000001' : '000000');

/** Goes for the file and has a code sent. */
async function begin(person, { token, phone }) {
  await person.goto(`/hello.txt?token=${token}`);
  await person.leads(() => person.button('Text message').click());
  return ask('sms', { to: phone });
}

/** A new code can be asked for after a while, which the page counts down. */
async function resent(person, who) {
  const first = await begin(person, who);
  const resend = person.button('Send a new code');
  const wait = person.page.getByText('You can ask for a new code in 0:0');
  await wait.waitFor();
  same(await resend.getAttribute('aria-disabled'), 'true', 'not yet');
  await person.sees('resend-later', ENTER);
  await wait.waitFor({ state: 'hidden' });
  same(await resend.getAttribute('aria-disabled'), null, 'now');
  await person.sees('resend', ENTER);
  await person.leads(() => resend.click());
  const second = await ask('sms', { to: who.phone });
  // The older code is void, and is not taken for the newer one's.
  if (first !== second) {
    await person.leads(() => person.field('Code').fill(first));
    await person.page.getByRole('alert').waitFor();
  }
  await person.leads(() => person.field('Code').fill(second));
  same(await person.text(), 'GET /hello.txt 0 bytes', 'the file');
}

/** The same without script: a sentence says when, and too early is told. */
async function resentWithoutScript(person, who) {
  await begin(person, who);
  await person.page.getByText(/You can ask for a new code in \d seconds?\./).waitFor();
  await person.leads(() => person.button('Send a new code').click());
  await person.sees('too-early', `Error: ${ENTER}`);
}

/** Wrong until there is a wait, with the time that is left. */
async function delayed(person, who) {
  const code = await begin(person, who);
  for (let i = 0; i < 5; i += 1) {
    await person.field('Code').fill(not(code));
    await person.leads(() => person.button('Confirm').click());
  }
  await person.sees('over', /^Error: /);
  await person.goto(`/hello.txt?token=${who.token}`);
  await person.sees('delayed', /^Error: /);
  check(/Wait \d+ seconds/.test(await person.page.getByRole('alert').innerText()), 'the time that is left');
}

await walk('hurry', async (open) => {
  const [anna, bo, cara] = facts.people;
  const plain = { javaScriptEnabled: false };
  await resent(await open('phone'), anna);
  await resentWithoutScript(await open('desktop', plain), bo);
  await delayed(await open('phone', plain), cara);
});
