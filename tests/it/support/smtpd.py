"""A real SMTP server for the tests: aiosmtpd, which reads mails as a mail client would.

One JSON object a line on standard output: first {"port": N}, then every mail it has taken. What it
does with a mail is in the part of the address before "@", so that one server plays every part.
"""

import argparse
import asyncio
import email
import email.policy
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult


def say(**what):
    print(json.dumps(what), flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        part = address.split("@")[0]
        if part == "nobody":
            return f"550 5.1.1 <{address}>: no such mailbox"
        if part == "later":
            return f"451 4.7.1 <{address}>: try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        part = envelope.rcpt_tos[0].split("@")[0]
        if part == "spam":
            return "554 5.7.1 this looks like spam"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        say(
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            peer=session.peer[1],
            tls=server.transport.get_extra_info("ssl_object") is not None,
            hello=session.host_name,
            user=(session.auth_data or b"").decode(),
            headers=[[name, str(value)] for name, value in mail.items()],
            text=mail.get_content().replace("\r\n", "\n"),
            ascii=envelope.content.isascii(),
        )
        if part == "cut":
            server.transport.abort()
        if part == "slow":
            await asyncio.sleep(3600)
        if part == "last":
            asyncio.get_running_loop().call_later(0.01, server.transport.close)
        return "250 taken"


class Known:
    """Lets one name with one password in."""

    def __init__(self, user, password):
        self.login = (user.encode(), password.encode())

    def __call__(self, server, session, envelope, mechanism, data):
        known = (data.login, data.password) == self.login
        return AuthResult(success=known, handled=known, auth_data=data.login)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", choices=["no", "starttls", "implicit"], default="no")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    args = parser.parse_args()
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)
    options = {}
    if args.tls == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    if args.user:
        known = Known(args.user, args.password)
        # It counts a STARTTLS alone as TLS, and would offer no AUTH under the implicit one.
        options |= {"authenticator": known, "auth_required": True, "auth_require_tls": args.tls == "starttls"}
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Handler(), hostname="mail.test", **options),
        "127.0.0.1",
        0,
        ssl=context if args.tls == "implicit" else None,
    )
    say(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(main())
