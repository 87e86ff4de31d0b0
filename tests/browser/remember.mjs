// A browser that is remembered: the box is ticked, the next sign-in asks for no code, and the account page
// forgets it. Without the box, nothing is remembered.

import { ask, check, facts, same, walk } from './harness.mjs';

const FILE = '/hello.txt';
const ACCOUNT = '/.vestibule/account';
const CHOOSE = 'Confirm that it is you –';
const ENTER = 'Enter your code –';
const BOX = 'Remember this browser for 30 days';

async function signIn(person) {
  await person.goto(`/.vestibule/sign-in?return_to=${FILE}`);
  await person.page.locator('#username').fill('anna');
  await person.page.locator('#password').fill(facts.password);
  await person.leads(() => person.button('Sign in').click());
}

async function signOut(person) {
  await person.goto('/.vestibule/sign-out');
  await person.leads(() => person.button('Sign out').click());
}

async function isIn(person) {
  same(await person.text(), 'GET /hello.txt 0 bytes', 'the file');
}

const box = (person) => person.page.getByRole('checkbox', { name: BOX });

/** Types the code: where there is script, a whole one is sent by itself. */
async function type(person, code) {
  const field = person.page.locator('#code');
  const isPlain = person.options.javaScriptEnabled === false;
  if (isPlain) await field.fill(code);
  await person.leads(() => (isPlain ? person.button('Confirm').click() : field.fill(code)));
}

/** Asked for a code, with the box there and not ticked. */
async function asked(person, name) {
  await person.leads(() => person.button('Text message').click());
  const code = await ask('sms', { to: facts.phone });
  await person.sees(name, ENTER);
  check(!await box(person).isChecked(), 'nobody is remembered unless they tick it');
  return code;
}

async function remembers(person) {
  await signIn(person);
  await person.sees('choose', CHOOSE);
  const code = await asked(person, 'code');
  await box(person).check();
  // What was ticked stays so when the code was wrong.
  await type(person, code === '000000' ? '000001' : '000000');
  await person.sees('wrong', `Error: ${ENTER}`);
  check(await box(person).isChecked(), 'it is ticked still');
  await type(person, code);
  await isIn(person);
  await signOut(person);
  await signIn(person);
  await isIn(person);
}

async function forgets(person) {
  await person.goto(ACCOUNT);
  await person.sees('account', 'Your account');
  const text = await person.text();
  for (const part of ['Remembered browsers', 'this browser', 'Remembered until:']) {
    check(text.includes(part), `the page does not say "${part}"`);
  }
  await person.leads(() => person.button('Forget').click());
  await person.sees('forgotten', 'Your account');
  check(!(await person.text()).includes('Remembered browsers'), 'it is not listed any more');
  await signOut(person);
  await signIn(person);
  await person.sees('asked-again', CHOOSE);
}

/** Without the box: a second factor at each sign-in. */
async function unticked(person) {
  await signIn(person);
  await type(person, await asked(person, 'unticked'));
  await isIn(person);
  await signOut(person);
  await signIn(person);
  await person.page.getByRole('heading', { name: 'Confirm that it is you' }).waitFor();
}

/** The words fit in every language. */
async function inOtherLanguages(open) {
  for (const locale of ['de-DE', 'da-DK', 'es-ES', 'fr-FR']) {
    const person = await open('phone', { locale });
    await person.goto(`/.vestibule/sign-in?return_to=${FILE}`);
    await person.page.locator('#username').fill('anna');
    await person.page.locator('#password').fill(facts.password);
    await person.leads(() => person.page.locator('main button').click());
    await person.leads(() => person.page.locator('button[name="factor"]').first().click());
    const code = await ask('sms', { to: facts.phone });
    await person.page.getByRole('checkbox').check();
    await person.sees(`code-${locale.slice(0, 2)}`);
    await person.leads(() => person.page.locator('#code').fill(code));
    await person.goto(ACCOUNT);
    await person.sees(`account-${locale.slice(0, 2)}`);
  }
}

await walk('remember', async (open) => {
  const phone = await open('phone');
  await remembers(phone);
  await forgets(phone);
  const desktop = await open('desktop', { javaScriptEnabled: false });
  await remembers(desktop);
  await forgets(desktop);
  await unticked(await open('desktop'));
  await inOtherLanguages(open);
});
