// The operator's look: a prefix, a long name, a logo, colours; and a person's own contrast.

import { ask, check, facts, same, walk } from './harness.mjs';

async function look(person) {
  await person.goto('/hello.txt');
  same(new URL(person.page.url()).pathname, '/our/door/sign-in', 'below the prefix');
  await person.sees('sign-in', `Sign in – ${facts.name}`);
  const button = person.button('Sign in');
  if (person.options.forcedColors !== 'active') {
    same(await button.evaluate((it) => getComputedStyle(it).backgroundColor), 'rgb(255, 221, 0)', 'the accent');
    same(await button.evaluate((it) => getComputedStyle(it).color), 'rgb(0, 0, 0)', 'what is read on it');
  }
  check(await person.page.locator('.logo').evaluate((it) => it.naturalWidth > 0), 'the logo is there');
  await person.field('Name or email').fill(facts.user);
  await person.field('Password').fill('wrong-password');
  await person.leads(() => person.button('Sign in').click());
  await person.sees('wrong-password');
  await person.field('Password').fill(facts.password);
  await person.leads(() => person.button('Sign in').click());
  await person.sees('choose', 'Confirm that it is you');
  await person.leads(() => person.button('Text message').click());
  const code = await ask('sms', { to: facts.phone });
  await person.sees('code', 'Enter your code');
  await person.leads(() => person.field('Code').fill(code));
  await person.goto('/our/door/account');
  await person.sees('account', 'Your account');
}

await walk('theme', async (open) => {
  await look(await open('desktop'));
  await look(await open('phone', { forcedColors: 'active' }));
});
