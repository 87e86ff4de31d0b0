backup-title = Backup codes
backup-about = If your phone is lost or broken, a backup code lets you in. Each works once. New codes replace the older ones.
backup-left = { $count ->
    [0] You have no backup codes.
    [one] One code is left.
   *[other] { $count } codes are left.
}
backup-make = Make new codes
backup-later = Not now
backup-back = Back
backup-made = These are your backup codes for { $service }. They are shown only this once.
backup-by-hand = Print this page, or write the codes down and keep them where you will find them without your phone.
backup-print = Print
backup-download = Download
backup-copy = Copy
backup-copied = Copied
backup-continue = I have saved them: continue
