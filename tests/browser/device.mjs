// The page on which a person lets in a program that cannot show one: the code typed, an unknown one,
// what asks, a code by text message, and "This is not mine".

import { ask, check, facts, same, walk } from './harness.mjs';

const PAGE = '/.vestibule/device';

/** Types a program's code, after a wrong one, and looks at what asks. */
async function typed(person, code) {
  await person.goto(PAGE);
  await person.sees('code', 'Let a program in');
  await person.field('Code').fill('bcdf ghjk');
  await person.leads(() => person.button('Continue').click());
  await person.sees('unknown', /^Error: Let a program in/);
  same(await person.field('Code').inputValue(), 'bcdf ghjk', 'what was typed, to be mended');
  await person.field('Code').fill(code.toLowerCase().replace('-', ' '));
  await person.leads(() => person.button('Continue').click());
  await person.sees('asking', 'Let this program in?');
  const text = await person.text();
  for (const part of [code, 'a****', 'Only go on if you started this yourself']) {
    check(text.includes(part), `the page does not say "${part}"`);
  }
}

async function letIn(person, { code, network }) {
  await typed(person, code);
  const warned = await person.page.getByText('Everybody who knows this password').count();
  same(warned, network ? 1 : 0, 'whom else it lets in');
  await person.leads(() => person.button('Text message').click());
  await person.sees('sent', 'Let this program in?');
  const sms = await ask('sms', { to: facts.phone });
  await person.field('Code').fill(sms === '000000' ? '000001' : '000000');
  if (person.options.javaScriptEnabled === false) await person.leads(() => person.button('Confirm').click());
  else await person.page.waitForLoadState();
  await person.page.getByRole('alert').waitFor();
  await person.sees('wrong', /^Error: Let this program in/);
  await person.field('Code').fill(sms);
  if (person.options.javaScriptEnabled === false) await person.leads(() => person.button('Confirm').click());
  await person.page.getByRole('heading', { name: 'The program is in' }).waitFor();
  await person.sees('in', 'The program is in');
  // The code is used up, and the browser has got nothing by it.
  await person.goto(`${PAGE}?code=${code}`);
  await person.page.getByRole('alert').waitFor();
}

async function refuse(person, { code }) {
  await person.goto(`${PAGE}?code=${code}`);
  await person.leads(() => person.button('This is not mine').click());
  await person.sees('refused', 'The program was refused');
}

await walk('device', async (open) => {
  const phone = await open('phone');
  await letIn(phone, facts.sync);
  await refuse(phone, facts.stranger);
  const desktop = await open('desktop', { javaScriptEnabled: false });
  await letIn(desktop, facts.mount);
  await refuse(desktop, facts.other);
});
