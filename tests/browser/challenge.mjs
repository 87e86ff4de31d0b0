// The challenge page in all its states: chosen, sent, typed, pasted, wrong, too often, by another way.

import { ask, check, facts, same, walk } from './harness.mjs';

/** The file that the token leads to, once the second factor is passed. */
const FILE = `/hello.txt?token=${facts.token}`;
const CHOOSE = 'Confirm that it is you –';
const ENTER = 'Enter your code –';
const WRONG = 'Error: Enter your code –';

const not = (code) => (code === '000000' ? '000001' : '000000');

/** Types a code and sends it: where there is script, that is done by itself. */
async function type(person, code) {
  const isPlain = person.options.javaScriptEnabled === false;
  if (isPlain) await person.field('Code').fill(code);
  await person.leads(() => (isPlain ? person.button('Confirm').click() : person.field('Code').fill(code)));
}

async function isIn(person) {
  same(await person.text(), 'GET /hello.txt 0 bytes', 'the file');
}

/** Choose, be told, mistype, get in: with the keyboard's button, as without script. */
async function pass(person) {
  await person.goto(FILE);
  await person.sees('choose', CHOOSE);
  const names = await person.order();
  same(names.map((it) => it.split(/[ \n]/)[0]), ['a', 'button', 'button'], 'what the keyboard reaches');
  await person.leads(() => person.button('Text message').click());
  const code = await ask('sms', { to: facts.phone });
  await person.sees('sent', ENTER);
  same(await person.field('Code').getAttribute('autocomplete'), 'one-time-code', 'autocomplete');
  check(await person.field('Code').evaluate((it) => it === document.activeElement), 'the field has the focus');
  // Reloading sends nothing and loses nothing.
  await person.page.reload();
  await type(person, not(code));
  await person.sees('wrong', WRONG);
  same(await person.field('Code').getAttribute('aria-invalid'), 'true', 'the field says so');
  const described = await person.field('Code').getAttribute('aria-describedby');
  same(described, 'alert', 'and why');
  check((await person.page.getByRole('alert').innerText()).includes('4 tries are left'), 'how many tries are left');
  return code;
}

async function withoutScript(person) {
  const code = await pass(person);
  await type(person, code);
  await isIn(person);
}

/** Pasted as it was written, it is sent by itself. */
async function pasted(person) {
  const code = await pass(person);
  await person.leads(() => person.field('Code').evaluate((field, text) => {
    field.focus();
    document.execCommand('insertText', false, text);
  }, `${code.slice(0, 3)} ${code.slice(3)}`));
  await isIn(person);
}

/** By mail, after having been sent a message; what the operator ends is asked for again. */
async function byMail(person) {
  await person.goto(FILE);
  await person.leads(() => person.button('Text message').click());
  await ask('sms', { to: facts.phone });
  await person.leads(() => person.link('Confirm in another way').click());
  await person.sees('another', CHOOSE);
  await person.leads(() => person.button('Email').click());
  const code = await ask('mail');
  await person.sees('mailed', ENTER);
  await person.leads(() => person.field('Code').pressSequentially(code));
  await isIn(person);
  await ask('revoke');
  await person.goto(FILE);
  await person.sees('revoked', CHOOSE);
}

/** The words of every language. */
async function speaks(open) {
  for (const locale of ['de-DE', 'da-DK', 'es-ES', 'fr-FR']) {
    const person = await open('phone', { locale });
    await person.goto(FILE);
    await person.sees(`choose-${locale.slice(0, 2)}`);
    await person.leads(() => person.page.getByRole('button').first().click());
    await ask('sms', { to: facts.phone });
    await person.sees(`sent-${locale.slice(0, 2)}`);
  }
}

await walk('challenge', async (open) => {
  const plain = { javaScriptEnabled: false };
  await pasted(await open('phone'));
  await pasted(await open('desktop'));
  await withoutScript(await open('phone', plain));
  await withoutScript(await open('desktop', plain));
  await speaks(open);
  await byMail(await open('phone'));
});
