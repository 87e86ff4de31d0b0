said-foreign-title = This form cannot be accepted
said-foreign = The form came from another page. Go back to where you began and open the page once more.
said-stale-title = This page was too old
said-stale = Your browser has been confirmed or signed out since this page was opened. Go back, reload the page and try again.
said-malformed-title = This cannot be read
said-malformed = Your browser’s request cannot be accepted. Go back to where you began; if this happens again, delete the cookies of this site.
said-not-found-title = There is nothing here
said-not-found = There is nothing at this address. Check the address, or go back.
said-no-token-title = We do not know you yet
said-no-token = Open the link that you were sent, or sign in, and you will come back here.
said-unknown-token-title = We do not know you any more
said-unknown-token = The link or sign-in that brought you here is not known or has ended. Ask for a new link, or sign in again.
said-share-only-title = This link has no account
said-share-only = A share link opens its folder and nothing else. For your own account, sign in first.
said-no-cookie-title = Cookies are needed
said-no-cookie = Your browser did not send our cookie back. Let this site set cookies and try again.
said-no-self-enrolment-title = Ask for a second factor
said-no-self-enrolment = You have no second factor, and only the people who run this service can set one up for you. Ask them.
said-unavailable-title = Not available right now
said-unavailable = This cannot be checked now. Try again in a few seconds.
said-unchecked = This cannot be checked now. Try again in { $span }.
said-delayed = There were too many wrong codes. Wait { $span } and try again.
said-locked = Your codes are locked after too many wrong ones. Ask whoever runs this service to unlock you.
said-no-recipient = We have no number or address to send a code to. Ask whoever gave you this access.
said-recipient-refused = Codes cannot be sent to your number. Ask whoever gave you this access.
said-too-many = Wait { $span } before you ask for another code. A code that you already have is still good.
said-not-sent = The code could not be sent. Try again in { $span }.
said-no-digits = Type the digits of the code.
said-wrong-last = The code is wrong, and no longer good after this many tries. Ask for a new one.
said-wrong-app = The code is wrong. Wait for the next one in your app and try again.
said-wrong = The code is wrong. Look at the newest message and try again. { $left ->
    [one] One try is left.
   *[other] { $left } tries are left.
}
said-gone = The code has expired or has been used. Ask for a new one.
said-never-sent = No code has been sent to you yet. Ask for one first.
said-wrong-password = The name or the password is wrong. Check both and try again.
said-delayed-password = There were too many wrong tries. Wait { $span } and try again.
