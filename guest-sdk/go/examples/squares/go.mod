module squares

go 1.25

require disperse v0.0.0

replace disperse => ../..
