notice-success-token-title = Hay que confirmar este paso
notice-success-token = Confírmelo con un código nuevo en la aplicación de la que viene.
notice-denied-title = Cerrado
notice-denied = Usted no puede abrir esta dirección.
notice-out-of-scope-title = Fuera de lo compartido
notice-out-of-scope = Su enlace solo abre su propia carpeta. Abra otra vez el enlace que recibió.
notice-too-many-tries-title = Demasiadas contraseñas incorrectas
notice-too-many-tries = Espere un poco antes de volver a intentarlo.
