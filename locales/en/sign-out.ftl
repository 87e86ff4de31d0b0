sign-out-title = Sign out
sign-out-ask = You will be signed out of { $service } in this browser.
sign-out-submit = Sign out
sign-out-done-title = You are signed out
sign-out-done = Nobody is signed in in this browser. If others use it too, close its windows.
sign-out-again = Sign in again
