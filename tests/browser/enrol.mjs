// Factors that are set up by a message and by mail, the first one and another; and what asks for a factor that
// was passed just now: a change after the sudo time.

import { ask, check, facts, same, walk } from './harness.mjs';

const FILE = '/hello.txt';
const ACCOUNT = '/.vestibule/account';
const CHOOSE = 'Set up a second factor';
const SMS = 'Set up text messages';
const MAIL = 'Set up codes by email';
const ENTER = 'Enter your code –';
const YOURS = 'Your account';

async function signIn(person, name) {
  await person.goto(FILE);
  await person.page.locator('#username').fill(name);
  await person.page.locator('#password').fill(facts.password);
  await person.leads(() => person.button('Sign in').click());
}

const isPlain = (person) => person.options.javaScriptEnabled === false;

/** Types a code: where there is script, a whole one is sent by itself. */
async function type(person, code) {
  const field = person.page.locator('#code');
  if (isPlain(person)) await field.fill(code);
  await person.leads(() => (isPlain(person) ? person.button('Confirm').click() : field.fill(code)));
}

const not = (code) => (code === '000000' ? '000001' : '000000');

/** Types a recipient that is none, then one that is, a wrong code, then the right one. */
async function setUp(person, { title, wrong, to, code, name }) {
  await person.sees(name, title);
  const field = person.page.locator('#to');
  // The browser itself would not send what is no address.
  await field.evaluate((it) => { it.type = 'text'; });
  await field.fill(wrong);
  await person.leads(() => person.button('Send code').click());
  await person.sees(`${name}-mistyped`, `Error: ${title}`);
  same(await field.inputValue(), wrong, 'what was typed, to be mended');
  same(await field.getAttribute('aria-invalid'), 'true', 'the field says so');
  await field.fill(to);
  await person.leads(() => person.button('Send code').click());
  await person.sees(`${name}-sent`, title);
  const sent = await code();
  // It waits, however often it is looked at.
  await person.page.reload();
  await type(person, not(sent));
  await person.sees(`${name}-wrong`, `Error: ${title}`);
  await type(person, sent);
}

/** The first factor, by mail: to the backup codes and from there to the file. */
async function firstByMail(person, { user, to, mail }) {
  await signIn(person, user);
  await person.sees('first', CHOOSE);
  await person.leads(() => person.link('Email').click());
  const code = () => ask('mail');
  await setUp(person, { title: MAIL, wrong: 'anna@', to: mail, code, name: 'mail' });
  await person.sees('codes', 'Backup codes');
  await person.leads(() => person.link('Not now').click());
  same(await person.text(), 'GET /hello.txt 0 bytes', 'the file');
  return to;
}

/** Until what was passed is too old for a change. */
async function late() {
  await new Promise((go) => { setTimeout(go, facts.sudo * 1000 + 1_500); });
}

/** Passes once more, by the factor that there is. */
async function again(person, name) {
  const url = new URL(person.page.url());
  same(url.searchParams.get('fresh'), 'true', `a newer factor is asked for at ${url}`);
  await person.leads(() => person.button('Email').click());
  await person.sees(name, ENTER);
  await type(person, await ask('mail'));
}

/** Does what asks for a factor that was passed just now; on a slow machine it may be too long ago again. */
async function inTime(person, act) {
  for (let i = 0; i < 4; i += 1) {
    await act();
    if (!person.page.url().includes('fresh=true')) return;
    await again(person, 'again-in-between');
  }
  check(false, 'too slow for the sudo time');
}

/** Another factor may be added by whoever passes again. The page is not looked at meanwhile: time runs. */
async function secondByMessage(person, to) {
  await late();
  await person.goto(ACCOUNT);
  await person.sees('account', YOURS);
  await person.leads(() => person.link('Add a second factor').click());
  await again(person, 'again-to-add');
  await person.leads(() => person.link('Text message').click());
  const number = to.replaceAll(' ', '');
  const begin = () => inTime(person, async () => {
    await person.page.locator('#to').fill(to);
    await person.leads(() => person.button('Send code').click());
  });
  await begin();
  const sent = await ask('sms', { to: number });
  await late();
  await type(person, sent);
  await again(person, 'again-to-confirm');
  // The browser goes by another name since, and what waited was that of the old one.
  await inTime(person, async () => {
    await begin();
    await type(person, await ask('sms', { to: number }));
  });
  const { pathname } = new URL(person.page.url());
  check(pathname.endsWith('/backup-codes'), `led to ${pathname}`);
}

/** Removing one: led to the challenge, and back to where it can be pressed again. */
async function removes(person) {
  await late();
  await person.goto(ACCOUNT);
  const remove = () => person.page.getByRole('listitem').filter({ hasText: '+45' })
    .getByRole('button', { name: 'Remove' });
  await person.leads(() => remove().click());
  await again(person, 'again-to-remove');
  same(new URL(person.page.url()).pathname, ACCOUNT, 'back to the account');
  await inTime(person, () => person.leads(() => remove().click()));
  await person.sees('removed', YOURS);
  check((await person.text()).includes('The second factor has been removed.'), 'it says so');
  same(await remove().count(), 0, 'numbers that are left');
}

await walk('enrol', async (open) => {
  for (const [size, options, who] of [
    ['phone', {}, facts.nora],
    ['desktop', { javaScriptEnabled: false }, facts.otto],
  ]) {
    const person = await open(size, options);
    const number = await firstByMail(person, who);
    await secondByMessage(person, number);
    await removes(person);
  }
});
