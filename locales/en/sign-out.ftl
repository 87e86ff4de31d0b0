sign-out-title = Sign out
sign-out-ask = You will be signed out of { $service } in this browser.
sign-out-submit = Sign out
sign-out-done-title = You are signed out
sign-out-done = Nobody is signed in to this browser. If other people use it, close all its windows.
sign-out-again = Sign in again
