message-sms = { $code } is your code for { $service }. It expires in { $span }.
message-sms-program = { $code } lets a program in at { $service } as you. If you did not start it yourself, do not use this code. It expires in { $span }.
message-subject = Your code for { $service }
message-mail =
    { $code } is your code for { $service }.

    It works once, and expires in { $span }.
    If you did not ask for it, ignore this mail, and tell the code to nobody.
message-subject-program = A program asks to be let in at { $service }
message-mail-program =
    { $code } lets a program in at { $service } as you.

    It works once, and expires in { $span }.
    If you have not started that program yourself just now, do not enter this code and tell it to nobody. Somebody else knows your password then: change it.
