//! Whether the gateway's own user can read what the config names. Root, who runs the doctor, can read
//! everything, and so learns nothing by trying.

use super::Patient;
use super::report::Finding;
use crate::config::NamedFile;
use crate::config::model::StoreEngine;
use rustix::fs::getxattr;
use rustix::io::Errno;
use rustix::process::geteuid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{Metadata, metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CHECK: &str = "files";
/// Root's user id.
const ROOT: u32 = 0;
/// The user of the unit and of the package.
const UNITS_USER: &str = "vestibule";
/// Where the unit has its config.
const UNITS_FOLDER: &str = "/etc/vestibule";
/// What lies here is some person's, or everybody's.
const HOMES: [&str; 4] = ["/root", "/home", "/tmp", "/var/tmp"];
const READ: u32 = 0o4;
const PASS: u32 = 0o1;
/// Where systemd looks for the unit, the first wins; what is in a folder of this name with `.d` is added.
const UNITS: [&str; 4] = [
    "etc/systemd/system/vestibule.service",
    "run/systemd/system/vestibule.service",
    "usr/lib/systemd/system/vestibule.service",
    "lib/systemd/system/vestibule.service",
];

/// A user of this machine, as far as files go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    name: String,
    uid: u32,
    /// The first group, by name if it has one.
    group: String,
    gids: BTreeSet<u32>,
    /// Whether the machine knows it by a name, so that groups can take it in.
    has_entry: bool,
}

/// A file or folder that the gateway's user cannot read or pass.
#[derive(Clone, Debug)]
struct Closed {
    is_folder: bool,
    mode: u32,
    uid: u32,
    gid: u32,
    /// By name if it has one.
    group: String,
}

impl Closed {
    fn of(found: &Metadata) -> Self {
        let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
        Self {
            is_folder: found.is_dir(),
            mode: found.mode(),
            uid: found.uid(),
            gid: found.gid(),
            group: group_name(found.gid(), &groups),
        }
    }
}

impl Account {
    /// Whom the gateway runs as: the store's owner; before there is a store, the unit's user.
    fn of_gateway(store: &StoreEngine) -> Option<Self> {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (passwd, groups) = (read("/etc/passwd"), read("/etc/group"));
        let owner = match store {
            StoreEngine::Sqlite(path) => metadata(path).ok(),
            StoreEngine::Memory => None,
        };
        match owner {
            Some(found) => Some(Self::owning(&found, &passwd, &groups)),
            None => Self::called(UNITS_USER, &passwd, &groups),
        }
    }

    fn owning(found: &Metadata, passwd: &str, groups: &str) -> Self {
        let uid = found.uid().to_string();
        let line = lines(passwd).find(|fields| fields.get(2) == Some(&uid.as_str()));
        let known = line.and_then(|fields| Self::read(&fields, groups));
        known.unwrap_or_else(|| Self {
            name: format!("the user with the id {uid}"),
            uid: found.uid(),
            group: group_name(found.gid(), groups),
            gids: [found.gid()].into(),
            has_entry: false,
        })
    }

    /// The user of that name; `passwd` and `groups` as in `/etc` (passwd(5), group(5)).
    fn called(name: &str, passwd: &str, groups: &str) -> Option<Self> {
        let line = lines(passwd).find(|fields| fields.first() == Some(&name))?;
        Self::read(&line, groups)
    }

    fn read(fields: &[&str], groups: &str) -> Option<Self> {
        let [name, _, uid, gid, ..] = fields else {
            return None;
        };
        let first: u32 = gid.parse().ok()?;
        let of_others = lines(groups).filter_map(|fields| match fields[..] {
            [_, _, gid, members] if members.split(',').any(|it| it == *name) => gid.parse().ok(),
            _ => None,
        });
        Some(Self {
            name: (*name).to_owned(),
            uid: uid.parse().ok()?,
            group: group_name(first, groups),
            gids: of_others.chain([first]).collect(),
            has_entry: true,
        })
    }

    /// The folder or file on the way that is closed to this user; `None`: it can be read.
    fn stopped_at(&self, file: &Path) -> Option<PathBuf> {
        let whole = file.canonicalize().ok()?;
        let folders = whole.ancestors().skip(1);
        let closed = folders.filter(|folder| !self.may(PASS, folder)).last();
        let closed = closed.or_else(|| (!self.may(READ, &whole)).then_some(&whole));
        closed.map(Path::to_owned)
    }

    /// What lets this user through, and shuts nobody else out.
    fn mend(&self, at: &Path, closed: &Closed, own: &Path) -> String {
        let (wanted, bit) = match closed.is_folder {
            true => (PASS, 'x'),
            false => (READ, 'r'),
        };
        // Other programs go through a folder that is not the config's own.
        let may_change = !closed.is_folder || at == own;
        let is_open_to_group = (closed.mode >> 3) & wanted == wanted && closed.gid != ROOT;
        let (name, group, theirs) = (&self.name, &self.group, &closed.group);
        let (at, own) = (at.display(), own.display());
        match () {
            () if closed.uid == self.uid && may_change => format!("chmod u+{bit} {at}"),
            () if closed.uid != self.uid && is_open_to_group && self.has_entry => {
                format!("adduser {name} {theirs} && systemctl restart vestibule")
            }
            () if may_change => format!("chgrp {group} {at} && chmod g+{bit} {at}"),
            () => format!(
                "{at} is closed to it; put the file into {own}, and name it there in the config"
            ),
        }
    }

    fn may(&self, wanted: u32, path: &Path) -> bool {
        let Ok(found) = metadata(path) else {
            return true;
        };
        let bits = match () {
            () if self.uid == ROOT => return true,
            () if found.uid() == self.uid => found.mode() >> 6,
            () if self.gids.contains(&found.gid()) => found.mode() >> 3,
            () => found.mode(),
        };
        bits & wanted == wanted || has_acl(path)
    }
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn group_name(gid: u32, groups: &str) -> String {
    let gid = gid.to_string();
    let line = lines(groups).find(|fields| fields.get(2) == Some(&gid.as_str()));
    let name = line.and_then(|fields| fields.first().map(|name| (*name).to_owned()));
    name.unwrap_or(gid)
}

/// Whether the file has a list of those who may (acl(5)): the mode does not say all, and is not judged.
fn has_acl(path: &Path) -> bool {
    // A list is longer than a byte.
    let found = getxattr(path, "system.posix_acl_access", &mut [0_u8; 1][..]);
    matches!(found, Ok(_) | Err(Errno::RANGE))
}

/// What the gateway's own user could not read. For root alone: whoever else runs the doctor has tried it.
pub(super) async fn readable(patient: Arc<Patient>) -> Vec<Finding> {
    let account = match geteuid().as_raw() {
        ROOT => Account::of_gateway(&patient.config.store.engine),
        _ => None,
    };
    let unit = unit(Path::new("/"), &patient.path);
    let mut findings = undelivered(&patient.named, unit.as_deref());
    if let Some(account) = account.filter(|account| account.uid != ROOT) {
        let config = NamedFile {
            path: patient.path.clone(),
            is_secret: false,
            is_credential: false,
        };
        let files = patient.named.iter().chain([&config]);
        findings.extend(unreadable(&account, files, &own_folder(&patient.path)));
        if findings.is_empty() {
            let fine = format!("{} can read what the config names", account.name);
            findings.push(Finding::ok(CHECK, fine));
        }
    }
    findings
}

/// What systemd hands over need not be readable.
pub(super) fn unreadable<'a>(
    account: &Account,
    files: impl Iterator<Item = &'a NamedFile>,
    own: &Path,
) -> Vec<Finding> {
    let paths: BTreeSet<&Path> = files
        .filter(|file| !file.is_credential)
        .map(|file| file.path.as_path())
        .collect();
    // One folder may close the way to many.
    let mut closed: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for path in paths {
        if let Some(at) = account.stopped_at(path) {
            let behind = closed.entry(at).or_default();
            behind.push(path.display().to_string());
        }
    }
    let told = closed.into_iter().map(|(at, paths)| {
        let mend = metadata(&at).map(|found| account.mend(&at, &Closed::of(&found), own));
        let (name, paths, mend) = (&account.name, paths.join(", "), mend.unwrap_or_default());
        format!("{paths} cannot be read by {name}, whom the gateway runs as: {mend}")
    });
    told.map(|detail| Finding::fail(CHECK, detail)).collect()
}

/// The folder of the config, where it is its own; else the package's. Others live in a home, or right below
/// the root.
fn own_folder(config: &Path) -> PathBuf {
    let whole = config.canonicalize().unwrap_or_else(|_| config.to_owned());
    let folder = whole.parent().unwrap_or(Path::new("/"));
    let is_own = folder.components().count() > 2 && !HOMES.iter().any(|it| folder.starts_with(it));
    match is_own {
        true => folder.to_owned(),
        false => PathBuf::from(UNITS_FOLDER),
    }
}

/// The lines of the unit that serves this config, with those added to it; `None`: there is none.
fn unit(root: &Path, config: &Path) -> Option<String> {
    let config = config.canonicalize().ok()?;
    let read = |path: PathBuf| std::fs::read_to_string(path).ok();
    let mut text = UNITS.iter().find_map(|path| read(root.join(path)))?;
    for path in UNITS {
        let added = std::fs::read_dir(root.join(format!("{path}.d")));
        let added = added.into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = added.map(|entry| entry.path()).collect();
        paths.sort();
        let confs = paths
            .into_iter()
            .filter(|path| path.extension().is_some_and(|it| it == "conf"));
        for conf in confs.filter_map(read) {
            text.push('\n');
            text.push_str(&conf);
        }
    }
    text.contains(config.to_str()?).then_some(text)
}

/// Credentials that the unit does not hand over: the gateway would look for them in vain.
pub(super) fn undelivered(files: &[NamedFile], unit: Option<&str>) -> Vec<Finding> {
    let Some(unit) = unit else {
        return Vec::new();
    };
    let names = files.iter().filter(|file| file.is_credential);
    let names: BTreeSet<&str> = names
        .filter_map(|file| file.path.file_name()?.to_str())
        .collect();
    let missing = names.into_iter().filter(|name| !hands_over(unit, name));
    missing
        .map(|name| {
            let detail = format!(
                "the unit does not hand over {name} (${{CREDENTIALS_DIRECTORY}}), and the gateway does not \
                 start: write {{file: {name}}}, or add LoadCredential={name}:/etc/vestibule/{name} to the unit"
            );
            Finding::fail(CHECK, detail)
        })
        .collect()
}

/// systemd.exec(5), "CREDENTIALS".
fn hands_over(unit: &str, name: &str) -> bool {
    let mut is_handed = false;
    for (key, value) in unit.lines().filter_map(|line| line.trim().split_once('=')) {
        match key.trim() {
            "LoadCredential" | "LoadCredentialEncrypted" if value.trim().is_empty() => {
                is_handed = false;
            }
            "LoadCredential"
            | "LoadCredentialEncrypted"
            | "SetCredential"
            | "SetCredentialEncrypted" => {
                is_handed |= value.trim().split(':').next() == Some(name);
            }
            // A pattern: nobody can tell what it finds.
            "ImportCredential" => is_handed = true,
            _ => {}
        }
    }
    is_handed
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nvestibule:x:990:980::/nonexistent:/usr/sbin/nologin\n";
    const GROUPS: &str =
        "root:x:0:\nssl-cert:x:110:nginx,vestibule\nvestibule:x:980:\nadm:x:4:nginx\n";

    #[test]
    fn a_user_has_the_groups_that_name_it() {
        let account = Account::called("vestibule", PASSWD, GROUPS).unwrap();
        assert_eq!((account.uid, &*account.group), (990, "vestibule"));
        assert_eq!(account.gids, [980, 110].into());
        assert_eq!(Account::called("anna", PASSWD, GROUPS), None);
        // A container's user has no name.
        let dir = tempfile::tempdir().unwrap();
        let found = metadata(dir.path()).unwrap();
        let account = Account::owning(&found, "", "");
        assert_eq!(account.uid, found.uid());
        assert_eq!(account.group, found.gid().to_string());
    }

    /// Somebody who is neither the owner of this test's files nor in their group, and somebody who is in it.
    fn accounts(dir: &Path) -> (Account, Account) {
        let found = metadata(dir).unwrap();
        let account = |gid: u32| Account {
            name: "vestibule".to_owned(),
            uid: found.uid() + 1,
            group: "vestibule".to_owned(),
            gids: [gid].into(),
            has_entry: true,
        };
        (account(found.gid() + 1), account(found.gid()))
    }

    #[test]
    fn what_the_gateways_user_cannot_read_is_told_with_its_mend() {
        let dir = tempfile::tempdir().unwrap();
        let (stranger, member) = accounts(dir.path());
        let folder = dir.path().join("etc");
        fs::create_dir(&folder).unwrap();
        let own = folder.canonicalize().unwrap();
        let set =
            |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let path = folder.join("twilio.token");
        fs::write(&path, "x").unwrap();
        let file = |is_credential| NamedFile {
            path: path.clone(),
            is_secret: true,
            is_credential,
        };
        set(dir.path(), 0o711);
        for (folder_mode, mode, told_stranger, told_member) in [
            (0o755, 0o600, true, true),
            (0o755, 0o640, true, false),
            (0o750, 0o644, true, false),
            (0o700, 0o644, true, true),
            (0o711, 0o644, false, false),
            (0o755, 0o604, false, true),
        ] {
            set(&folder, folder_mode);
            set(&path, mode);
            for (account, told) in [(&stranger, told_stranger), (&member, told_member)] {
                let found = unreadable(account, [file(false)].iter(), &own);
                assert_eq!(
                    !found.is_empty(),
                    told,
                    "{folder_mode:o} {mode:o} {found:?}"
                );
                assert!(found.iter().all(|it| it.verdict == Verdict::Fail));
                assert_eq!(
                    unreadable(account, [file(true)].iter(), &own),
                    [],
                    "systemd reads it"
                );
            }
        }
        set(&folder, 0o700);
        let second = NamedFile {
            path: folder.join("mail.password"),
            ..file(false)
        };
        fs::write(&second.path, "x").unwrap();
        let found = unreadable(&stranger, [file(false), second].iter(), &own);
        assert_eq!(found.len(), 1, "one folder: {found:?}");
        let closed = format!("chmod g+x {}", own.display());
        assert!(found[0].detail.ends_with(&closed), "{found:?}");
        set(&folder, 0o711);
        set(&path, 0o600);
        let found = unreadable(&stranger, [file(false)].iter(), &own);
        assert!(found[0].detail.contains("chgrp vestibule "), "{found:?}");
        assert!(found[0].detail.contains("chmod g+r "), "{found:?}");
        let root = Account {
            uid: ROOT,
            ..stranger
        };
        assert_eq!(unreadable(&root, [file(false)].iter(), &own), []);
    }

    /// A folder that other programs go through is left as it is, and so is a group that is let through.
    #[test]
    fn a_mend_shuts_nobody_out() {
        let vestibule = Account::called("vestibule", PASSWD, GROUPS).unwrap();
        let nameless = Account {
            has_entry: false,
            ..Account::called("vestibule", PASSWD, GROUPS).unwrap()
        };
        let own = Path::new("/etc/vestibule");
        let closed = |is_folder, mode, uid, gid| Closed {
            is_folder,
            mode,
            uid,
            gid,
            group: group_name(gid, GROUPS),
        };
        for (account, at, found, wanted) in [
            (
                &vestibule,
                "/etc/nginx",
                closed(true, 0o710, 0, 4),
                "adduser vestibule adm && systemctl restart vestibule",
            ),
            (
                &vestibule,
                "/etc/nginx/k",
                closed(false, 0o640, 0, 4),
                "adduser vestibule adm && systemctl restart vestibule",
            ),
            (
                &vestibule,
                "/root",
                closed(true, 0o750, 0, 0),
                "/root is closed to it; put the file into /etc/vestibule, and name it there in the config",
            ),
            (
                &vestibule,
                "/srv/x",
                closed(true, 0o700, 0, 4),
                "/srv/x is closed to it; put the file into /etc/vestibule, and name it there in the config",
            ),
            (
                &vestibule,
                "/srv/y",
                closed(true, 0o077, 990, 4),
                "/srv/y is closed to it; put the file into /etc/vestibule, and name it there in the config",
            ),
            (
                &nameless,
                "/etc/nginx",
                closed(true, 0o710, 0, 4),
                "/etc/nginx is closed to it; put the file into /etc/vestibule, and name it there in the config",
            ),
            (
                &vestibule,
                "/etc/vestibule",
                closed(true, 0o750, 0, 0),
                "chgrp vestibule /etc/vestibule && chmod g+x /etc/vestibule",
            ),
            (
                &vestibule,
                "/etc/vestibule",
                closed(true, 0o600, 990, 980),
                "chmod u+x /etc/vestibule",
            ),
            (
                &vestibule,
                "/etc/k",
                closed(false, 0o600, 0, 0),
                "chgrp vestibule /etc/k && chmod g+r /etc/k",
            ),
            (
                &vestibule,
                "/etc/k",
                closed(false, 0o640, 0, 0),
                "chgrp vestibule /etc/k && chmod g+r /etc/k",
            ),
            (
                &vestibule,
                "/etc/k",
                closed(false, 0o040, 990, 4),
                "chmod u+r /etc/k",
            ),
        ] {
            assert_eq!(
                account.mend(Path::new(at), &found, own),
                wanted,
                "{at} {found:?}"
            );
        }
    }

    #[test]
    fn the_folder_of_a_config_is_its_own_unless_others_live_there() {
        for (config, own) in [
            ("/srv/gateway/vestibule.yaml", "/srv/gateway"),
            ("/etc/vestibule.yaml", "/etc/vestibule"),
            ("/root/vestibule.yaml", "/etc/vestibule"),
            ("/home/anna/gateway/vestibule.yaml", "/etc/vestibule"),
        ] {
            assert_eq!(own_folder(Path::new(config)), Path::new(own), "{config}");
        }
    }

    #[test]
    fn credentials_that_the_unit_does_not_hand_over_are_told() {
        let root = tempfile::tempdir().unwrap();
        let config = root.path().join("vestibule.yaml");
        fs::write(&config, "").unwrap();
        assert_eq!(unit(root.path(), &config), None);
        let files = ["store.key", "twilio.token"].map(|name| NamedFile {
            path: root.path().join(name),
            is_secret: true,
            is_credential: true,
        });
        assert_eq!(
            undelivered(&files, None),
            [],
            "somebody else looks after the gateway"
        );

        let system = root.path().join("lib/systemd/system");
        fs::create_dir_all(system.join("vestibule.service.d")).unwrap();
        let shipped = fs::read_to_string("systemd/vestibule.service").unwrap();
        fs::write(system.join("vestibule.service"), &shipped).unwrap();
        assert_eq!(unit(root.path(), &config), None, "it serves another config");
        let ours = shipped.replace(
            "/etc/vestibule/vestibule.yaml",
            config.canonicalize().unwrap().to_str().unwrap(),
        );
        fs::write(system.join("vestibule.service"), ours).unwrap();
        let told = || undelivered(&files, unit(root.path(), &config).as_deref());
        let found = told();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].detail.contains("not hand over twilio.token"),
            "{found:?}"
        );
        assert_eq!(found[0].verdict, Verdict::Fail);

        let drop_in = |text| {
            fs::write(system.join("vestibule.service.d/own.conf"), text).unwrap();
            told().len()
        };
        assert_eq!(
            drop_in("[Service]\nLoadCredential=twilio.token:/etc/vestibule/twilio.token\n"),
            0
        );
        assert_eq!(drop_in("[Service]\nLoadCredential=\n"), 2);
        assert_eq!(
            drop_in("[Service]\nLoadCredential=\nLoadCredentialEncrypted=store.key:/x\n"),
            1
        );
        assert_eq!(drop_in("[Service]\nImportCredential=vestibule.*\n"), 0);
    }
}
