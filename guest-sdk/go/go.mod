module disperse

go 1.25
