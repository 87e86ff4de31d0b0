#!/usr/bin/env bash
# The life of the Debian package on a machine with systemd: install, start, upgrade under load, remove, purge.
#
#   run.sh PACKAGE NEWER_PACKAGE
#
# Needs root (namespaces, an overlay) and says what it misses. Each `ok` is one thing that was seen.
set -euo pipefail
package=$(realpath "$1") newer=$(realpath "$2")
here=$(realpath "$(dirname "$0")")

init=
fail() {
  echo "FAILED: $*" >&2
  [ -z "$init" ] || in_machine journalctl -q --no-pager -n 30 >&2 || true
  exit 1
}
ok() { echo "ok: $*"; }

[ "$(id -u)" = 0 ] || fail "the package's test makes a machine out of namespaces: run it as root"
[ -x /lib/systemd/systemd ] || fail "there is no systemd: run \`make test\`, which installs it"
! dpkg -s vestibule >/dev/null 2>&1 || fail "this machine has the package vestibule: the test would see that one's files"

folder=$(mktemp -d)
log=$folder.log
unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net "$here/machine.sh" "$folder" >"$log" 2>&1 &
machine=$!
# shellcheck disable=SC2317
end() {
  kill -KILL "$machine" 2>/dev/null || true
  wait "$machine" 2>/dev/null || true
  rmdir "$folder" 2>/dev/null || true
  rm -f "$log" "$log".*
}
trap end EXIT

# in_machine COMMAND...: as root, in the machine.
in_machine() {
  nsenter --target "$init" --mount --pid --cgroup --net --ipc --uts -- \
    chroot "$folder/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
sh_in_machine() { in_machine sh -euc "$1"; }
# until_true SECONDS WHAT COMMAND...
until_true() {
  local limit=$1 what=$2
  shift 2
  for _ in $(seq $((limit * 5))); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.2
  done
  fail "waited ${limit}s for $what"
}
find_init() { init=$(ps -o pid= --ppid "$machine" | tr -d ' ') && [ -n "$init" ] && [ "$(cat "/proc/$init/comm")" = systemd ]; }
booted() { in_machine systemctl is-system-running | grep -qE 'running|degraded'; }
ready() { in_machine curl -fsS -o /dev/null http://127.0.0.1:9180/readyz; }
active() { in_machine systemctl is-active --quiet vestibule; }
main_pid() { in_machine systemctl show -P MainPID vestibule; }
says() { in_machine stat -c '%a %U:%G' "$1"; }
is() { [ "$(says "$1")" = "$2" ] || fail "$1 is $(says "$1"), not $2"; }

until_true 20 "process 1" find_init
until_true 60 "systemd (see $log: $(cat "$log"))" booted
in_machine mkdir /tmp/packages
nsenter --target "$init" --mount -- cp "$package" "$folder/root/tmp/packages/one.deb"
nsenter --target "$init" --mount -- cp "$newer" "$folder/root/tmp/packages/two.deb"

# Every file and link that the machine has written, with what could change; not what the system writes by itself. (What
# it has of this machine is below, and others may be changing it.) What machine.sh has removed there, services of this machine, is
# a character device in an overlay; systemd tidies up after that.
snapshot() {
  nsenter --target "$init" --mount -- sh -euc "cd '$folder/new'; find . \\( -path ./var/log -o -path ./var/lib/dpkg \
    -o -path ./var/lib/systemd -o -path ./var/cache -o -path ./root -o -path ./var/lib/private \\) -prune \
    -o -type c -path './etc/systemd/system/*' -o ! -type d -printf '/%P %m %u:%g %l\\n' | sort"
}

echo "== a new machine"
# Without the package, so that what there is afterwards can be compared.
before=$(snapshot)
in_machine dpkg -i /tmp/packages/one.deb >/dev/null 2>&1 || fail "dpkg -i"
ok "it installs"
[ -z "$(in_machine dpkg -V vestibule)" ] || fail "dpkg -V: $(in_machine dpkg -V vestibule)"
ok "dpkg -V finds every file as it was packed"
is /usr/bin/vestibule "755 root:root"
is /etc/vestibule "750 root:vestibule"
is /etc/vestibule/vestibule.yaml "640 root:vestibule"
is /etc/vestibule/store.key "600 root:root"
ok "files have their modes and owners"
in_machine getent passwd vestibule | grep -q '/usr/sbin/nologin$' || fail "the user can log in"
[ "$(in_machine id -Gn vestibule)" = vestibule ] || fail "the user has other groups"
ok "the system user has no shell and no other group"
until_true 60 "the gateway" ready
active || fail "the service is not active"
in_machine systemctl is-enabled --quiet vestibule || fail "the service is not enabled"
[ "$(in_machine ps -o user= -p "$(main_pid)")" = vestibule ] || fail "it runs as somebody else"
ok "the service is enabled, runs as its user under all its restrictions, and is ready"
is /var/lib/vestibule "700 vestibule:vestibule"
is /var/lib/vestibule/vestibule.db "600 vestibule:vestibule"
[ -z "$(in_machine journalctl -q -u vestibule -p warning -o cat)" ] || fail "warnings: $(in_machine journalctl -q -u vestibule -p warning -o cat)"
ok "the store is its own user's alone, and nothing is warned of"
in_machine vestibule check >/dev/null || fail "check"
in_machine vestibule health >/dev/null || fail "health"
printf 'a-long-enough-password\n' | in_machine vestibule user add ben --phone +4587654321 --password-file - >/dev/null || fail "user add"
in_machine vestibule user list | grep -q ben || fail "user list"
in_machine vestibule backup --to /root/copy.db >/dev/null || fail "backup"
is /root/copy.db "600 root:root"
# Root has looked into the store: nothing in it may be root's now.
[ -z "$(in_machine find /var/lib/vestibule ! -user vestibule)" ] || fail "the store has files of others"
ok "root's commands find config, key, store and gateway without being told where"
[ -z "$(in_machine vestibule check 2>&1 >/dev/null)" ] || fail "the installed config is warned of"
in_machine runuser -u nobody -- vestibule user list >/dev/null 2>&1 && fail "nobody lists users"
in_machine runuser -u nobody -- cat /etc/vestibule/vestibule.yaml >/dev/null 2>&1 && fail "nobody reads the config"
ok "others are kept out"

echo "== a restart"
in_machine systemctl reload vestibule || fail "reload"
pid=$(main_pid)
in_machine kill -KILL "$pid"
another() { [ "$(main_pid)" != "$pid" ] && ready; }
until_true 30 "a new gateway after a crash" another
[ "$(in_machine systemctl show -P NFileDescriptorStore vestibule)" = 2 ] || fail "systemd keeps $(in_machine systemctl show -P NFileDescriptorStore vestibule) sockets, not 2"
ok "it reloads, comes back after a crash, and systemd keeps its sockets"

echo "== an upgrade under load"
sh_in_machine "sed -i 's/^# Vestibule as it is installed.*/# Changed by the administrator./' /etc/vestibule/vestibule.yaml"
key=$(in_machine sha256sum /etc/vestibule/store.key)
# Asks for a page that needs no backend, on a new connection each time, and keeps what went wrong.
sh_in_machine 'cat >/tmp/load.sh' <<'LOAD'
while [ ! -e /tmp/load.stop ]; do
  status=$(curl -s -o /dev/null -m 30 -w '%{http_code} %{errormsg}' http://127.0.0.1:8080/.vestibule/sign-in) || true
  case $status in
    200*) echo >>/tmp/load.good ;;
    *) echo "$status" >>/tmp/load.bad ;;
  esac
done
echo done >/tmp/load.done
LOAD
in_machine sh /tmp/load.sh &
until_true 20 "the load" in_machine test -s /tmp/load.good
pid=$(main_pid)
in_machine dpkg --force-confold -i /tmp/packages/two.deb >/dev/null || fail "the upgrade"
[ "$(main_pid)" != "$pid" ] || fail "the old program runs on"
until_true 30 "the new gateway" ready
before_end=$(in_machine wc -l /tmp/load.good)
more() { [ "$(in_machine wc -l /tmp/load.good)" != "$before_end" ]; }
until_true 20 "answers of the new gateway" more
in_machine touch /tmp/load.stop
until_true 40 "the end of the load" in_machine test -e /tmp/load.done
in_machine test ! -e /tmp/load.bad || fail "requests failed: $(in_machine cat /tmp/load.bad)"
ok "it upgrades, and of $(in_machine cat /tmp/load.good | wc -l) requests meanwhile none failed"
in_machine grep -q 'Changed by the administrator' /etc/vestibule/vestibule.yaml || fail "the config was replaced"
in_machine grep -q '^# Newer' /etc/vestibule/vestibule.yaml.dpkg-dist || fail "the new version's config is not beside it"
is /etc/vestibule/vestibule.yaml "640 root:vestibule"
[ "$(in_machine sha256sum /etc/vestibule/store.key)" = "$key" ] || fail "the store key was replaced"
in_machine vestibule user list | grep -q ben || fail "the users are gone"
ok "config, key and users are as they were"
for _ in 1 2; do in_machine dpkg-reconfigure vestibule || fail "postinst again"; done
[ "$(in_machine sha256sum /etc/vestibule/store.key)" = "$key" ] || fail "the store key was replaced"
until_true 30 "the gateway" ready
ok "its scripts can run again"
sh_in_machine "echo 'no-such-key: 1' >>/etc/vestibule/vestibule.yaml"
pid=$(main_pid)
in_machine dpkg-reconfigure vestibule 2>&1 | grep -q 'mend it' || fail "a bad config is not told"
[ "$(main_pid)" = "$pid" ] || fail "a gateway was stopped that cannot come back"
sh_in_machine "sed -i '/no-such-key/d' /etc/vestibule/vestibule.yaml"
ok "a config that the new version does not take keeps the old gateway running"
in_machine systemctl disable --quiet vestibule
in_machine dpkg --force-confold -i /tmp/packages/two.deb >/dev/null
in_machine systemctl is-enabled --quiet vestibule && fail "an upgrade has enabled it"
in_machine systemctl enable --quiet vestibule
ok "what the administrator has disabled stays so"

echo "== the operator's guide"
# A file server where the installed config says that one is: the doctor asks for it.
in_machine env PYTHONDONTWRITEBYTECODE=1 python3 -m http.server 5000 --bind 127.0.0.1 --directory /tmp/packages >/dev/null 2>&1 &
until_true 20 "the file server" in_machine curl -fsS -o /dev/null http://127.0.0.1:5000/
# Every block of it that begins with `# run`, in its order.
awk -v to="$log" '/^```sh$/ { getline; if ($0 == "# run") { name = sprintf("%s.block%02d", to, ++count); getline }
  else name = "" } /^```$/ { name = "" } name { print > name }' "$here/../../docs/operations.md"
for block in "$log".block*; do
  in_machine sh -eu <"$block" >"$log.said" 2>&1 || fail "$(cat "$block" "$log.said")"
  ok "$(grep -cv '^$' "$block") lines of the guide"
  until_true 30 "the gateway after $(cat "$block")" ready
done
in_machine sh -c 'cat /etc/vestibule/store.key /root/store.key.before' >>"${VESTIBULE_TEST_SECRETS:-/dev/null}"
in_machine sh -c 'rm -r /var/backups/vestibule /var/lib/vestibule/before'
# Every page of the package leads to what the package has.
sh_in_machine 'cd /usr/share/doc/vestibule
find . -name "*.md" | while read -r page; do
  grep -o "]([^)#]*" "$page" | cut -c3- | grep -v "^http" | while read -r link; do
    [ -z "$link" ] || [ -e "$(dirname "$page")/$link" ] || echo "$page: $link"
  done
done >/tmp/dead-links'
in_machine test ! -s /tmp/dead-links || fail "links lead nowhere: $(in_machine cat /tmp/dead-links)"
ok "no link in the installed pages leads nowhere"

echo "== the examples"
# Whoever starts from one makes the files that it names as the guide says; then the gateway's user can read them.
sh_in_machine 'cat >/tmp/example.sh' <<'EXAMPLE'
cd /etc/vestibule
cat "$1" >vestibule.yaml
umask 027
for name in $(grep -o '{file: [a-z][a-z.]*}' vestibule.yaml | tr -d '{}' | cut -d' ' -f2); do
  printf 'a-secret-of-the-example\n' >"$name"
  chgrp vestibule "$name"
done
cp -p tls/files.pem tls/media.pem
cp -p tls/files.key tls/media.key
echo '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>' >logo.svg
chgrp vestibule logo.svg
systemctl stop vestibule
systemctl reset-failed vestibule 2>/dev/null || true
vestibule check
systemctl start vestibule
EXAMPLE
# What the doctor says of files; other things are wrong too, on a machine without a network.
of_files() { in_machine vestibule doctor 2>/dev/null | grep '^FAIL  files: ' || true; }
in_machine cp -p /etc/vestibule/vestibule.yaml /root/own.yaml
# The small one of the README is one, too.
sed -n '/^```yaml$/,/^```$/{/^```/!p; /^```$/q}' "$here/../../README.md" | in_machine sh -c 'cat >/tmp/readme.yaml'
for example in /tmp/readme.yaml $(in_machine sh -c 'ls /usr/share/doc/vestibule/config/examples/*.yaml'); do
  in_machine sh -eu /tmp/example.sh "$example" >"$log.said" 2>&1 || fail "$example: $(cat "$log.said")"
  active || fail "$example: the gateway does not run"
  [ -z "$(of_files)" ] || fail "$example: $(of_files)"
done
ok "the gateway starts on the README's config and on each example, with their files made as the guide says"
# starts: whether it does; one that fails is not tried again.
starts() { in_machine systemctl restart vestibule >/dev/null 2>&1; }
shut_down() { sh_in_machine 'systemctl stop vestibule; systemctl reset-failed vestibule 2>/dev/null || true'; }
in_machine sh -eu /tmp/example.sh /usr/share/doc/vestibule/config/examples/sms-and-mail.yaml >/dev/null 2>&1 || fail "sms-and-mail.yaml"
shut_down
sh_in_machine 'cd /etc/vestibule; chown root:root mail.password; chmod 600 mail.password'
in_machine vestibule check >/dev/null || fail "root cannot read its own file"
starts && fail "the gateway reads a file that it cannot read"
shut_down
said=$(of_files)
[[ "$said" == *"/etc/vestibule/mail.password cannot be read by vestibule, whom the gateway runs as: "* ]] || fail "the doctor says of it: $said"
sh_in_machine "${said##*whom the gateway runs as: }"
[ -z "$(of_files)" ] || fail "after its mend the doctor says: $(of_files)"
starts || fail "after the doctor's mend it does not start"
ok "the doctor tells of a file that the gateway's user cannot read, and its mend helps"
shut_down
sh_in_machine 'cd /etc/vestibule; sed -i "s/{file: twilio.token}/{file: \"\${CREDENTIALS_DIRECTORY}\/twilio.token\"}/" vestibule.yaml'
in_machine vestibule check >/dev/null || fail "check: $(in_machine vestibule check 2>&1)"
starts && fail "the unit hands over a file that it does not name"
shut_down
[[ "$(of_files)" == *"the unit does not hand over twilio.token"* ]] || fail "the doctor says of it: $(of_files)"
ok "the doctor tells of a credential that the unit does not hand over"
sh_in_machine 'cat /root/own.yaml >/etc/vestibule/vestibule.yaml
cd /etc/vestibule; rm -f /root/own.yaml logo.svg kannel.password mail.password oauth.secret sms.authorization twilio.token; systemctl start vestibule'
until_true 30 "the gateway on its own config again" ready

echo "== remove and purge"
in_machine dpkg -r vestibule >/dev/null 2>&1 || fail "remove"
active && fail "the service still runs"
in_machine curl -s -o /dev/null http://127.0.0.1:8080/ && fail "somebody still listens"
in_machine test -e /etc/vestibule/store.key -a -e /etc/vestibule/vestibule.yaml -a -e /var/lib/vestibule/vestibule.db || fail "remove took too much"
ok "remove stops it and keeps config, key and store"
in_machine dpkg --force-confold -i /tmp/packages/two.deb >/dev/null || fail "install again"
until_true 60 "the gateway" ready
in_machine vestibule user list | grep -q ben || fail "the users are gone"
ok "installed again, it goes on"
journal=$(in_machine journalctl -q -u vestibule -o cat)
in_machine dpkg -P vestibule >/dev/null 2>&1 || fail "purge"
[ "$(in_machine ls -A /etc/vestibule)" = tls ] || fail "in /etc/vestibule is $(in_machine ls -A /etc/vestibule), not tls alone"
in_machine rm -r /etc/vestibule
left=$(diff <(echo "$before") <(snapshot) | grep '^[<>]' | grep -vE '^[<>] /(etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|root/copy.db) ' || true)
[ -z "$left" ] || fail "left after purge: $left"
in_machine test ! -e /var/lib/vestibule || fail "the store is left"
ok "purge leaves nothing but the system user and the administrator's own files"

# For the search for secrets.
echo "== what the gateways said"
echo "$journal"
