sign-out-title = Log ud
sign-out-ask = Du bliver logget ud af { $service } i denne browser.
sign-out-submit = Log ud
sign-out-done-title = Du er logget ud
sign-out-done = Ingen er logget ind i denne browser. Luk alle dens vinduer, hvis andre også bruger den.
sign-out-again = Log ind igen
